-- An order's total equals the sum of its lines. Returns the orders that differ.
-- Airflow reads each table at its own snapshot, so orders newer than the newest line are left out.
{{ config(enabled=source_is_declared('shop')) }}

with

line_totals as (

    select order_id, sum(line_total) as lines_total
    from {{ ref('fct_order_line') }}
    group by order_id

),

newest_line as (

    select max(updated_at) as added_at
    from {{ ref('stg_shop__order_lines') }}

)

select orders.order_id, orders.order_total, line_totals.lines_total
from {{ ref('fct_order') }} as orders
full join line_totals on line_totals.order_id = orders.order_id
cross join newest_line
where
    orders.order_total is distinct from line_totals.lines_total
    and coalesce(orders.ordered_at <= newest_line.added_at, true)
