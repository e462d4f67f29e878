-- The source of this lake. `tests/lakes/make.py` runs this file and, where a line begins with
-- `-- lakefeed`, that command. Run alone, it gives the source as the last load saw it.

create type mood as enum ('sad', 'ok');
create type place as (street text, number int);
create domain email as text check (value like '%@%');

-- Many loads, so that most of their descriptions are in a pack.
create table orders (
    id int primary key,
    word text,
    amount numeric(8, 2),
    price numeric,
    doubled int generated always as (id * 2) stored,
    feeling mood,
    delivered_to place,
    buyer email,
    details jsonb,
    at timestamptz not null
);
insert into orders (id, word, amount, price, feeling, delivered_to, buyer, details, at)
select
    i, 'first', i + 0.25, i / 3.0, 'ok', row('Street "' || i || '"', i)::place, i || '@example.org',
    '{"n": 1.10}', timestamptz '2026-01-01Z' + i * interval '1 minute'
from generate_series(1, 30) as i;
update orders set word = null, feeling = null, delivered_to = null, buyer = null where id = 3;

-- Superseded by each load.
create table countries (code text primary key, name text);
insert into countries values ('at', 'Austria'), ('de', 'Germany'), ('ch', 'Switzerland'),
    ('fr', 'France'), ('it', 'Italy');

-- Rows that leave; read whole once, so that loads before that are superseded.
create table baskets (id int primary key, word text, at timestamptz not null);
insert into baskets
select i, 'first', timestamptz '2026-01-01Z' + i * interval '1 minute'
from generate_series(1, 20) as i;
create table carts (id int primary key, word text, at timestamptz not null);
insert into carts table baskets;

-- Every version is kept.
create table customers (id int primary key, word text, at timestamptz not null);
insert into customers table baskets;

-- Read by row versions.
create table notes (id int primary key, word text);
insert into notes select id, word from baskets;

-- Its columns change; it is loaded by a numeric cursor.
create table events (id int primary key, amount numeric(8, 2), kind varchar(10));
insert into events select i, i + 0.5, 'first' from generate_series(1, 20) as i;

-- lakefeed run

update baskets set word = 'second', at = '2026-01-02Z' where id = 2;
update carts set word = 'second', at = '2026-01-02Z' where id = 2;
update customers set word = 'second', at = '2026-01-02Z' where id = 2;
update notes set word = 'second' where id = 2;
delete from baskets where id = 5;
delete from carts where id = 5;
delete from customers where id = 5;
delete from countries where code = 'ch';
insert into events values (21, 21.5, 'second');
-- lakefeed run

alter table events alter amount type numeric(12, 4), add more text default 'm';
insert into events values (22, 12345678.1234, 'third');
-- lakefeed run --select shop.baskets --select shop.events --full-refresh

insert into baskets values (5, 'back again', '2026-01-03Z');
insert into customers values (5, 'back again', '2026-01-03Z');
delete from baskets where id = 6;
delete from customers where id = 7;
update customers set word = 'third', at = '2026-01-03 12:00Z' where id = 2;
insert into countries values ('li', 'Liechtenstein');
-- lakefeed load --select shop.baskets --select shop.customers --select shop.countries

update orders set word = 'version 1', at = '2026-01-04Z' where id = 2;
-- lakefeed load --select shop.orders

update orders set word = 'version 2', at = '2026-01-05Z' where id = 3;
-- lakefeed load --select shop.orders

update orders set word = 'version 3', at = '2026-01-06Z' where id = 4;
-- lakefeed load --select shop.orders

update orders set word = 'version 4', at = '2026-01-07Z' where id = 5;
-- lakefeed load --select shop.orders

update orders set word = 'version 5', at = '2026-01-08Z' where id = 6;
-- lakefeed load --select shop.orders

update orders set word = 'version 6', at = '2026-01-09Z' where id = 7;
-- lakefeed load --select shop.orders

update orders set word = 'version 7', at = '2026-01-10Z' where id = 1;
-- lakefeed load --select shop.orders

update orders set word = 'version 8', at = '2026-01-11Z' where id = 2;
-- lakefeed load --select shop.orders

update orders set word = 'version 9', at = '2026-01-12Z' where id = 3;
-- lakefeed load --select shop.orders

update orders set word = 'version 10', at = '2026-01-13Z' where id = 4;
-- lakefeed load --select shop.orders

update orders set word = 'version 11', at = '2026-01-14Z' where id = 5;
-- lakefeed load --select shop.orders

update orders set word = 'version 12', at = '2026-01-15Z' where id = 6;
-- lakefeed load --select shop.orders

update orders set word = 'version 13', at = '2026-01-16Z' where id = 7;
-- lakefeed load --select shop.orders

update orders set word = 'version 14', at = '2026-01-17Z' where id = 1;
-- lakefeed load --select shop.orders

update orders set word = 'version 15', at = '2026-01-18Z' where id = 2;
-- lakefeed load --select shop.orders

update orders set word = 'version 16', at = '2026-01-19Z' where id = 3;
-- lakefeed load --select shop.orders

update orders set word = 'version 17', at = '2026-01-20Z' where id = 4;
-- lakefeed load --select shop.orders

update orders set word = 'version 18', at = '2026-01-21Z' where id = 5;
-- lakefeed load --select shop.orders

update orders set word = 'version 19', at = '2026-01-22Z' where id = 6;
-- lakefeed load --select shop.orders

update orders set word = 'version 20', at = '2026-01-23Z' where id = 7;
-- lakefeed load --select shop.orders

update orders set word = 'version 21', at = '2026-01-24Z' where id = 1;
-- lakefeed load --select shop.orders

-- lakefeed prune

-- lakefeed load --select shop.orders --since 2026-01-01 --until 2026-01-02
-- lakefeed run
