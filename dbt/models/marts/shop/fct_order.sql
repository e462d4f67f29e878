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

customers as (

    select * from {{ ref('dim_customer') }}

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

orders_with_payments as (

    select
        orders.order_id,
        orders.customer_id,
        orders.ordered_at,
        orders.status,
        orders.total as order_total,
        coalesce(paid.amount_charged, 0) as amount_charged,
        coalesce(paid.amount_refunded, 0) as amount_refunded,
        greatest(orders._staged_batch, paid._staged_batch) as _staged_batch
    from orders
    left join paid on paid.order_id = orders.order_id

),

changed_orders as (

    select * from orders_with_payments
    where
        {{ lakefeed.staged_since_last_build(['_staged_batch']) }}
        or {{ lakefeed.member_changed_since_last_build(
            'customer_id', ref('dim_customer'), 'customer_id', 'customer_key', ['order_id']
        ) }}
    {%- if is_incremental() %}
    -- A payment that was removed from staging leaves no batch number behind.
    or not exists (
        select 1 from {{ this }} as built
        where
            built.order_id = orders_with_payments.order_id
            and built.amount_charged = orders_with_payments.amount_charged
            and built.amount_refunded = orders_with_payments.amount_refunded
    )
    {%- endif %}

),

-- Each order with the version of its customer that was valid when it was placed.
keyed_orders as (

    select
        {{ lakefeed.surrogate_key(['changed_orders.order_id']) }} as order_key,
        changed_orders.order_id,
        customers.customer_key,
        cast(changed_orders.ordered_at as date) as ordered_on,
        changed_orders.ordered_at,
        changed_orders.status,
        changed_orders.order_total,
        changed_orders.amount_charged,
        changed_orders.amount_refunded,
        greatest(changed_orders._staged_batch, customers._staged_batch) as _staged_batch
    from changed_orders
    {{ lakefeed.join_version(
        'customers', {'customer_id': 'changed_orders.customer_id'}, 'changed_orders.ordered_at'
    ) }}

)

select * from keyed_orders
