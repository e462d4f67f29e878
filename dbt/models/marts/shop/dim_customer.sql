{{ config(enabled=source_is_declared('shop')) }}

with

customers as (

    select * from {{ ref('stg_shop__customers') }}

),

addresses as (

    select * from {{ ref('stg_shop__addresses') }}

),

countries as (

    select * from {{ ref('stg_shop__countries') }}

),

newest_addresses as (

    select *
    from addresses
    qualify row_number() over (partition by customer_id order by address_id desc) = 1

),

joined as (

    select
        {{ lakefeed.surrogate_key(['customers.customer_id']) }} as customer_key,
        customers.customer_id,
        customers.full_name,
        customers.email,
        customers.phone,
        newest_addresses.street,
        newest_addresses.city,
        newest_addresses.postal_code,
        newest_addresses.country_code,
        countries.name as country_name,
        customers.created_at as joined_at
    from customers
    left join newest_addresses on newest_addresses.customer_id = customers.customer_id
    left join countries on countries.country_code = newest_addresses.country_code

)

select * from joined
