{{ config(enabled=source_is_declared('shop')) }}

{%- set attributes = [
    'full_name', 'email', 'phone', 'street', 'city', 'postal_code', 'country_code', 'country_name',
    'joined_at',
] %}

with

customers as (

    select * from {{ ref('hst_shop__customers') }}

),

addresses as (

    select * from {{ ref('hst_shop__addresses') }}

),

countries as (

    select * from {{ ref('hst_shop__countries') }}

),

orders as (

    select * from {{ ref('stg_shop__orders') }}

),

-- A customer's first known address is valid from the beginning, later ones from when they were entered.
customer_addresses as (

    select
        address_id,
        customer_id,
        street,
        city,
        postal_code,
        country_code,
        case
            when row_number() over (partition by customer_id order by _changed_at, address_id) = 1
                then valid_from
            else _changed_at
        end as valid_from,
        valid_to,
        loaded_at,
        _staged_batch
    from addresses

),

moments_of_change as (

    select customer_id, {{ lakefeed.each_of(['valid_from', 'valid_to']) }} as moment, _staged_batch
    from customers
    union
    select customer_id, {{ lakefeed.each_of(['valid_from', 'valid_to']) }} as moment, _staged_batch
    from customer_addresses
    union
    select
        customer_addresses.customer_id,
        {{ lakefeed.each_of(['countries.valid_from', 'countries.valid_to']) }} as moment,
        greatest(customer_addresses._staged_batch, countries._staged_batch) as _staged_batch
    from customer_addresses
    inner join countries on countries.country_code = customer_addresses.country_code

),

-- A change can end one version and begin the next without a row in either, so its batch counts for both.
periods as (

    select
        customer_id,
        moment as valid_from,
        lead(moment) over (partition by customer_id order by moment) as valid_to,
        max(_staged_batch) as _staged_batch
    from moments_of_change
    where moment is not null
    group by customer_id, moment

),

joined as (

    select
        customers.customer_id,
        customers.full_name,
        customers.email,
        customers.phone,
        customer_addresses.street,
        customer_addresses.city,
        customer_addresses.postal_code,
        customer_addresses.country_code,
        countries.name as country_name,
        customers.created_at as joined_at,
        periods.valid_from,
        periods.valid_to,
        greatest(customers.loaded_at, customer_addresses.loaded_at, countries.loaded_at) as loaded_at,
        customers._was_deleted and periods.valid_to = customers.valid_to as _was_deleted,
        greatest(
            periods._staged_batch, customers._staged_batch, customer_addresses._staged_batch,
            countries._staged_batch
        ) as _staged_batch,
        row_number() over (
            partition by periods.customer_id, periods.valid_from
            order by customer_addresses.address_id desc nulls last
        ) as address_rank
    from periods
    inner join customers
        on customers.customer_id = periods.customer_id
        and {{ lakefeed.valid_at('customers', 'periods.valid_from') }}
    left join customer_addresses
        on customer_addresses.customer_id = periods.customer_id
        and {{ lakefeed.valid_at('customer_addresses', 'periods.valid_from') }}
    left join countries
        on countries.country_code = customer_addresses.country_code
        and {{ lakefeed.valid_at('countries', 'periods.valid_from') }}

),

with_newest_address as (

    select * from joined
    where address_rank = 1

),

versions as (

    {{ lakefeed.merged_versions('with_newest_address', key=['customer_id'], columns=attributes) }}

),

-- Customers with orders whose own row isn't loaded yet. Once it is, their key stays the same, since
-- both versions are valid from the beginning.
inferred as (

    select
        orders.customer_id,
        {{ lakefeed.beginning() }} as valid_from,
        true as is_current,
        false as _was_deleted,
        max(orders._staged_batch) as _staged_batch
    from orders
    where
        not exists (
            select 1 from versions
            where versions.customer_id = orders.customer_id
        )
    group by orders.customer_id

),

members as (

    select
        customer_id,
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
        customer_id,
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
    {{ lakefeed.surrogate_key(['customer_id', lakefeed.microseconds('valid_from')]) }} as customer_key,
    customer_id,
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
