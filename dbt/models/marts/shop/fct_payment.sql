{{ config(
    enabled=source_is_declared('shop'),
    materialized='incremental',
    incremental_strategy='merge',
    unique_key='payment_id',
    on_schema_change='append_new_columns',
    post_hook="{{ lakefeed.remove_vanished(ref('stg_shop__payments'), ['payment_id']) }}"
) }}

with

payments as (

    select * from {{ ref('stg_shop__payments') }}

),

orders as (

    select * from {{ ref('stg_shop__orders') }}

),

changed_payments as (

    select
        {{ lakefeed.surrogate_key(['payments.payment_id']) }} as payment_key,
        payments.payment_id,
        payments.order_id,
        {{ lakefeed.surrogate_key(['orders.customer_id']) }} as customer_key,
        cast(payments.paid_at as date) as paid_on,
        payments.paid_at,
        payments.kind,
        payments.method,
        payments.amount,
        case when payments.kind = 'refund' then -payments.amount else payments.amount end
            as signed_amount,
        greatest(payments._staged_batch, orders._staged_batch) as _staged_batch
    from payments
    inner join orders on orders.order_id = payments.order_id
    where {{ lakefeed.staged_since_last_build(
        ['payments._staged_batch', 'orders._staged_batch']
    ) }}

)

select * from changed_payments
