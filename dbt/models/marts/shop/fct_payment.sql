{{ config(
    enabled=source_is_declared('shop'),
    materialized='incremental',
    incremental_strategy='merge',
    unique_key='payment_id',
    on_schema_change='append_new_columns',
    post_hook=[
        "{{ lakefeed.remove_vanished(ref('stg_shop__payments'), ['payment_id']) }}",
        "{{ lakefeed.remove_vanished(ref('stg_shop__orders'), ['order_id']) }}",
    ]
) }}

with

payments as (

    select * from {{ ref('stg_shop__payments') }}

),

orders as (

    select * from {{ ref('stg_shop__orders') }}

),

customers as (

    select * from {{ ref('dim_customer') }}

),

changed_payments as (

    select
        payments.payment_id,
        payments.order_id,
        orders.customer_id,
        payments.paid_at,
        payments.kind,
        payments.method,
        payments.amount,
        greatest(payments._staged_batch, orders._staged_batch) as _staged_batch
    from payments
    inner join orders on orders.order_id = payments.order_id
    where
        {{ lakefeed.staged_since_last_build(['payments._staged_batch', 'orders._staged_batch']) }}
        or {{ lakefeed.member_changed_since_last_build(
            'orders.customer_id', ref('dim_customer'), 'customer_id', 'customer_key',
            ['payments.payment_id']
        ) }}

),

-- Each payment with the version of its customer that was valid when it was made.
keyed_payments as (

    select
        {{ lakefeed.surrogate_key(['changed_payments.payment_id']) }} as payment_key,
        changed_payments.payment_id,
        changed_payments.order_id,
        customers.customer_key,
        cast(changed_payments.paid_at as date) as paid_on,
        changed_payments.paid_at,
        changed_payments.kind,
        changed_payments.method,
        changed_payments.amount,
        case
            when changed_payments.kind = 'refund' then -changed_payments.amount
            else changed_payments.amount
        end as signed_amount,
        greatest(changed_payments._staged_batch, customers._staged_batch) as _staged_batch
    from changed_payments
    {{ lakefeed.join_version(
        'customers', {'customer_id': 'changed_payments.customer_id'}, 'changed_payments.paid_at'
    ) }}

)

select * from keyed_payments
