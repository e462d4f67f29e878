-- Charges minus refunds never exceed the order's total. Returns the orders for which they do.
{{ config(enabled=source_is_declared('shop')) }}

select order_id, order_total, amount_charged, amount_refunded
from {{ ref('fct_order') }}
where amount_charged - amount_refunded > order_total
