{{ config(
    enabled=source_is_declared('shop'),
    materialized='incremental',
    incremental_strategy='merge',
    unique_key=['order_id', 'line_number'],
    on_schema_change='append_new_columns',
    post_hook="{{ lakefeed.remove_vanished(ref('stg_shop__order_lines'), ['order_id', 'line_number']) }}"
) }}

with

order_lines as (

    select * from {{ ref('stg_shop__order_lines') }}

),

orders as (

    select * from {{ ref('stg_shop__orders') }}

),

changed_lines as (

    select
        {{ lakefeed.surrogate_key(['order_lines.order_id', 'order_lines.line_number']) }}
            as order_line_key,
        order_lines.order_id,
        order_lines.line_number,
        {{ lakefeed.surrogate_key(['orders.customer_id']) }} as customer_key,
        {{ lakefeed.surrogate_key(['order_lines.product_id']) }} as product_key,
        cast(orders.ordered_at as date) as ordered_on,
        orders.ordered_at,
        orders.status = 'cancelled' as is_cancelled,
        order_lines.quantity,
        order_lines.unit_price,
        order_lines.quantity * order_lines.unit_price as line_total,
        greatest(order_lines._staged_batch, orders._staged_batch) as _staged_batch
    from order_lines
    inner join orders on orders.order_id = order_lines.order_id
    where {{ lakefeed.staged_since_last_build(
        ['order_lines._staged_batch', 'orders._staged_batch']
    ) }}

)

select * from changed_lines
