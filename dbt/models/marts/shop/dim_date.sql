{{ config(enabled=source_is_declared('shop')) }}

with

orders as (

    select * from {{ ref('stg_shop__orders') }}

),

payments as (

    select * from {{ ref('stg_shop__payments') }}

),

event_days as (

    select cast(ordered_at as date) as date_day from orders
    union all
    select cast(paid_at as date) as date_day from payments

),

bounds as (

    select
        date_trunc('year', min(date_day)) as first_day,
        date_trunc('year', max(date_day)) + interval 1 year - interval 1 day as last_day
    from event_days

),

days as (

    select {{ lakefeed.days_between('first_day', 'last_day') }} as date_day
    from bounds

),

described as (

    select
        date_day,
        cast(year(date_day) as integer) as year_number,
        cast(quarter(date_day) as integer) as quarter_number,
        cast(month(date_day) as integer) as month_number,
        {{ lakefeed.month_name('date_day') }} as month_name,
        cast(date_trunc('month', date_day) as date) as month_start,
        {{ lakefeed.weekday_number('date_day') }} as weekday_number,
        {{ lakefeed.weekday_name('date_day') }} as weekday_name,
        {{ lakefeed.weekday_number('date_day') }} >= 6 as is_weekend
    from days

)

select * from described
