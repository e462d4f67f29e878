{{ config(
    enabled=source_is_declared('shop'),
    materialized='incremental',
    incremental_strategy='merge',
    unique_key='order_id',
    on_schema_change='append_new_columns',
    post_hook="{{ lakefeed.remove_vanished(ref('stg_shop__orders'), ['order_id']) }}"
) }}

with

orders as (

    select * from {{ ref('stg_shop__orders') }}

),

payments as (

    select * from {{ ref('stg_shop__payments') }}

),

paid as (

    select
        order_id,
        sum(amount) filter (where kind = 'charge') as amount_charged,
        sum(amount) filter (where kind = 'refund') as amount_refunded,
        max(_staged_batch) as _staged_batch
    from payments
    group by order_id

),

changed_orders as (

    select
        {{ lakefeed.surrogate_key(['orders.order_id']) }} as order_key,
        orders.order_id,
        {{ lakefeed.surrogate_key(['orders.customer_id']) }} as customer_key,
        cast(orders.ordered_at as date) as ordered_on,
        orders.ordered_at,
        orders.status,
        orders.total as order_total,
        coalesce(paid.amount_charged, 0) as amount_charged,
        coalesce(paid.amount_refunded, 0) as amount_refunded,
        greatest(orders._staged_batch, coalesce(paid._staged_batch, 0)) as _staged_batch
    from orders
    left join paid on paid.order_id = orders.order_id
    where {{ lakefeed.staged_since_last_build(
        ['orders._staged_batch', 'coalesce(paid._staged_batch, 0)']
    ) }}

)

select * from changed_orders
