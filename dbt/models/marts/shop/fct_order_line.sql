{{ config(
    enabled=source_is_declared('shop'),
    materialized='incremental',
    incremental_strategy='merge',
    unique_key=['order_id', 'line_number'],
    on_schema_change='append_new_columns',
    post_hook=[
        "{{ lakefeed.remove_vanished(ref('stg_shop__order_lines'), ['order_id', 'line_number']) }}",
        "{{ lakefeed.remove_vanished(ref('stg_shop__orders'), ['order_id']) }}",
    ]
) }}

with

order_lines as (

    select * from {{ ref('stg_shop__order_lines') }}

),

orders as (

    select * from {{ ref('stg_shop__orders') }}

),

customers as (

    select * from {{ ref('dim_customer') }}

),

products as (

    select * from {{ ref('dim_product') }}

),

changed_lines as (

    select
        order_lines.order_id,
        order_lines.line_number,
        orders.customer_id,
        order_lines.product_id,
        orders.ordered_at,
        orders.status,
        order_lines.quantity,
        order_lines.unit_price,
        greatest(order_lines._staged_batch, orders._staged_batch) as _staged_batch
    from order_lines
    inner join orders on orders.order_id = order_lines.order_id
    where
        {{ lakefeed.staged_since_last_build(['order_lines._staged_batch', 'orders._staged_batch']) }}
        or {{ lakefeed.member_changed_since_last_build(
            'orders.customer_id', ref('dim_customer'), 'customer_id', 'customer_key',
            ['order_lines.order_id', 'order_lines.line_number']
        ) }}
        or {{ lakefeed.member_changed_since_last_build(
            'order_lines.product_id', ref('dim_product'), 'product_id', 'product_key',
            ['order_lines.order_id', 'order_lines.line_number']
        ) }}

),

-- Each line with the versions of its customer and product that were valid when it was ordered.
keyed_lines as (

    select
        {{ lakefeed.surrogate_key(['changed_lines.order_id', 'changed_lines.line_number']) }}
            as order_line_key,
        changed_lines.order_id,
        changed_lines.line_number,
        customers.customer_key,
        products.product_key,
        cast(changed_lines.ordered_at as date) as ordered_on,
        changed_lines.ordered_at,
        changed_lines.status = 'cancelled' as is_cancelled,
        changed_lines.quantity,
        changed_lines.unit_price,
        changed_lines.quantity * changed_lines.unit_price as line_total,
        greatest(
            changed_lines._staged_batch, customers._staged_batch, products._staged_batch
        ) as _staged_batch
    from changed_lines
    {{ lakefeed.join_version(
        'customers', {'customer_id': 'changed_lines.customer_id'}, 'changed_lines.ordered_at'
    ) }}
    {{ lakefeed.join_version(
        'products', {'product_id': 'changed_lines.product_id'}, 'changed_lines.ordered_at'
    ) }}

)

select * from keyed_lines
