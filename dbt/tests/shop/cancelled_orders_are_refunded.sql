-- A cancelled order that was paid is refunded in full. Returns the orders where it isn't.
{{ config(enabled=source_is_declared('shop')) }}

select order_id, amount_charged, amount_refunded
from {{ ref('fct_order') }}
where status = 'cancelled' and amount_charged <> amount_refunded
