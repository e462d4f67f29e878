{{ config(enabled=source_is_declared('shop')) }}

with

products as (

    select * from {{ ref('stg_shop__products') }}

),

categories as (

    select * from {{ ref('stg_shop__categories') }}

),

joined as (

    select
        {{ lakefeed.surrogate_key(['products.product_id']) }} as product_key,
        products.product_id,
        products.sku,
        products.name as product_name,
        categories.name as category_name,
        products.price as current_price,
        products.attributes ->> '$.size' as size,
        products.attributes ->> '$.colour' as colour
    from products
    left join categories on categories.category_id = products.category_id

)

select * from joined
