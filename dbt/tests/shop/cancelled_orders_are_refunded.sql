-- Paid orders that were cancelled are refunded in full. Returns those that aren't.
-- Airflow reads each table at its own snapshot, so orders that changed after the newest payment are
-- left out.
{{ config(enabled=source_is_declared('shop')) }}

with

newest_payment as (

    select max(updated_at) as made_at
    from {{ ref('stg_shop__payments') }}

)

select orders.order_id, orders.amount_charged, orders.amount_refunded
from {{ ref('fct_order') }} as orders
inner join {{ ref('stg_shop__orders') }} as changes on changes.order_id = orders.order_id
cross join newest_payment
where
    orders.status = 'cancelled'
    and orders.amount_charged <> orders.amount_refunded
    and changes.updated_at <= newest_payment.made_at
