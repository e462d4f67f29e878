-- An order's total is the sum of its lines. Returns the orders where it isn't.
{{ config(enabled=source_is_declared('shop')) }}

with

line_totals as (

    select order_id, sum(line_total) as lines_total
    from {{ ref('fct_order_line') }}
    group by order_id

)

select orders.order_id, orders.order_total, line_totals.lines_total
from {{ ref('fct_order') }} as orders
full join line_totals on line_totals.order_id = orders.order_id
where orders.order_total is distinct from line_totals.lines_total
