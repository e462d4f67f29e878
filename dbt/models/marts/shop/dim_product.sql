{{ config(enabled=source_is_declared('shop')) }}

{%- set attributes = ['sku', 'product_name', 'category_name', 'price', 'size', 'colour'] %}

with

products as (

    select * from {{ ref('hst_shop__products') }}

),

categories as (

    select * from {{ ref('hst_shop__categories') }}

),

order_lines as (

    select * from {{ ref('stg_shop__order_lines') }}

),

moments_of_change as (

    select product_id, {{ lakefeed.each_of(['valid_from', 'valid_to']) }} as moment, _staged_batch
    from products
    union
    select
        products.product_id,
        {{ lakefeed.each_of(['categories.valid_from', 'categories.valid_to']) }} as moment,
        greatest(products._staged_batch, categories._staged_batch) as _staged_batch
    from products
    inner join categories on categories.category_id = products.category_id

),

periods as (

    select
        product_id,
        moment as valid_from,
        lead(moment) over (partition by product_id order by moment) as valid_to,
        max(_staged_batch) as _staged_batch
    from moments_of_change
    where moment is not null
    group by product_id, moment

),

joined as (

    select
        products.product_id,
        products.sku,
        products.name as product_name,
        categories.name as category_name,
        products.price,
        {{ lakefeed.json_text('products.attributes', '$.size') }} as size,
        {{ lakefeed.json_text('products.attributes', '$.colour') }} as colour,
        periods.valid_from,
        periods.valid_to,
        greatest(products.loaded_at, categories.loaded_at) as loaded_at,
        products._was_deleted and periods.valid_to = products.valid_to as _was_deleted,
        greatest(
            periods._staged_batch, products._staged_batch, categories._staged_batch
        ) as _staged_batch
    from periods
    inner join products
        on products.product_id = periods.product_id
        and {{ lakefeed.valid_at('products', 'periods.valid_from') }}
    left join categories
        on categories.category_id = products.category_id
        and {{ lakefeed.valid_at('categories', 'periods.valid_from') }}

),

versions as (

    {{ lakefeed.merged_versions('joined', key=['product_id'], columns=attributes) }}

),

-- Ordered products whose own row isn't loaded yet. Once it is, their key stays the same, since both
-- versions are valid from the beginning.
inferred as (

    select
        order_lines.product_id,
        {{ lakefeed.beginning() }} as valid_from,
        true as is_current,
        false as _was_deleted,
        max(order_lines._staged_batch) as _staged_batch
    from order_lines
    where
        not exists (
            select 1 from versions
            where versions.product_id = order_lines.product_id
        )
    group by order_lines.product_id

),

members as (

    select
        product_id,
        {% for name in attributes %}
        {{ name }},
        {% endfor %}
        valid_from,
        valid_to,
        is_current,
        false as is_inferred,
        loaded_at,
        _was_deleted,
        _staged_batch
    from versions
    union all
    select
        product_id,
        {% for name in attributes %}
        null as {{ name }},
        {% endfor %}
        valid_from,
        null as valid_to,
        is_current,
        true as is_inferred,
        null as loaded_at,
        _was_deleted,
        _staged_batch
    from inferred

)

select
    {{ lakefeed.surrogate_key(['product_id', lakefeed.microseconds('valid_from')]) }} as product_key,
    product_id,
    {% for name in attributes %}
    {{ name }},
    {% endfor %}
    valid_from,
    valid_to,
    is_current,
    is_inferred,
    loaded_at,
    _was_deleted,
    _staged_batch
from members
