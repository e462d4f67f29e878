{# Staging by single statements: what ../staging.sql has for DuckDB. #}

{#
    Opens these loads for the model that is being built: the rows of the counting ones, as many as their
    manifests count, as the temporary view that its query reads.
#}
{% macro open_loads_by_statements(raw, loads, counting) %}
    {%- set batch = lakefeed.batch_of_build() -%}
    {%- do lakefeed.open_view('lakefeed_new_loads_batch', 'select cast(' ~ batch ~ ' as ' ~ lakefeed.type_named('bigint') ~ ') as batch') -%}
    {%- do lakefeed.open_view('lakefeed_new_loads', lakefeed.new_loads_opened(loads, counting)) -%}
    {%- set columns = raw.meta.lakefeed.columns -%}
    {%- set former = lakefeed.former_log(raw, counting) -%}
    {%- set log = lakefeed.columns_of_log((former or raw).meta.lakefeed) -%}
    {%- set read = dict(columns, **log) -%}
    {%- set changed = adapter.open_raw('lakefeed_raw_rows', counting, read) -%}
    {%- do lakefeed.refuse_lost_values(changed, columns) if changed -%}
    {%- do lakefeed.open_view('lakefeed_new_rows', lakefeed.new_rows_opened(raw)) -%}
    {%- do lakefeed.refuse_missing_by_counts(raw, counting) if counting -%}
    {%- if former -%}
        {%- set rows = lakefeed.new_rows_opened(former) -%}
        {%- do lakefeed.open_view('lakefeed_new_rows', lakefeed.last_of_each_load(former, rows)) -%}
    {%- endif -%}
{% endmacro %}


{# A view that this build reads by its name alone. #}
{% macro open_view(name, query) %}
    {%- do adapter.dispatch('open_view', 'lakefeed')(name, query) -%}
{% endmacro %}


{% macro default__open_view(name, query) %}
    {%- do lakefeed.run_statement('create or replace temporary view ' ~ name ~ ' as ' ~ query) -%}
{% endmacro %}


{% macro new_loads_opened(loads, counting) %}
    {{- return(adapter.dispatch('new_loads_opened', 'lakefeed')(loads, counting)) -}}
{% endmacro %}


{% macro default__new_loads_opened(loads, counting) -%}
    {%- set counted = counting | map(attribute='load_id') | list -%}
    select * from (values
        {% for load in loads -%}
        (
            '{{ load.load_id }}', '{{ load.snapshot_at }}', {{ load.supersedes }},
            cast({{ loop.index }} as bigint), {{ load.load_id in counted }}
        ),
        {% endfor -%}
        ('', '', false, cast(0 as bigint), false)
    ) as loads (load_id, snapshot_at, supersedes, position, counts)
    where position > 0
{%- endmacro %}


{% macro new_rows_opened(raw) -%}
    {%- set watches_deletes = raw.meta.lakefeed.deletes != 'ignore' -%}
    select
        {% for name in raw.meta.lakefeed.columns -%}
        files.{{ lakefeed.quote(name) }},
        {% endfor -%}
        {{ 'files._deleted_at,' if watches_deletes }}
        {%- for name in lakefeed.columns_of_log(raw.meta.lakefeed) %}
        files.{{ name }},
        {%- endfor %}
        files._dlt_load_id,
        loads.position as _load_position
    from lakefeed_raw_rows as files
    join lakefeed_new_loads as loads on loads.load_id = files._dlt_load_id
    {%- if not watches_deletes %}
    where files._deleted_at is null
    {%- endif -%}
{%- endmacro %}


{# Fails if not as many rows of each load are read as its manifest counts, as on DuckDB. #}
{% macro refuse_missing_by_counts(raw, counting) %}
    {%- set watches_deletes = raw.meta.lakefeed.deletes != 'ignore' -%}
    {%- set query -%}
        select
            _dlt_load_id,
            {{ 'count(*) - count(_deleted_at), count(_deleted_at)' if watches_deletes else 'count(*), 0' }}
        from lakefeed_new_rows
        group by _dlt_load_id
    {%- endset -%}
    {%- set found = {} -%}
    {%- for load_id, rows, deleted in adapter.rows(query) -%}
        {%- do found.update({load_id: (rows, deleted)}) -%}
    {%- endfor -%}
    {%- for load in counting -%}
        {%- set rows, deleted = found.get(load.load_id, (0, 0)) -%}
        {%- set expected = load.deleted if watches_deletes else 0 -%}
        {%- if rows != load.rows or deleted < expected -%}
            {{- exceptions.raise_compiler_error(
                this.identifier ~ ': load ' ~ load.load_id ~ " isn't whole (rows in its manifest: "
                ~ (load.rows + expected) ~ ', rows read: ' ~ (rows + deleted) ~ '); put the files in '
                ~ lakefeed.raw_folder(raw) ~ ' back, or reload the table: lakefeed run --full-refresh'
            ) -}}
        {%- endif -%}
    {%- endfor -%}
{% endmacro %}


{# Fails if a value in raw would be rounded or lost in its declared type. #}
{% macro refuse_lost_values(changed, columns) %}
    {%- set lost = 'select min(_lakefeed_lost) from lakefeed_raw_rows' -%}
    {%- set name = adapter.rows(lost)[0][0] -%}
    {%- if name -%}
        {{- lakefeed.refuse_lossy_cast(name, changed[name], columns[name]) -}}
    {%- endif -%}
{% endmacro %}


{#
    Merges the rows that this query has into the model, in one statement, and with it removes the rows
    whose newest version is a tombstone. `dropped` are the columns of the model that the raw table no
    longer has: a row's new version has no value for them.
#}
{% macro merge_rows(raw, query, counting, columns, dropped) %}
    {%- if not raw.key -%}
        {#- A load that was staged before its record was written must not be staged twice. -#}
        {%- do lakefeed.run_statement(
            'delete from ' ~ this ~ ' where _dlt_load_id in (select load_id from lakefeed_new_loads)'
        ) -%}
        {%- set listed = lakefeed.quoted_list(columns) -%}
        {{- return(lakefeed.write_model(
            'insert into ' ~ this ~ ' (' ~ listed ~ ') select ' ~ listed ~ ' from (' ~ query ~ ')'
        )) -}}
    {%- endif -%}
    {%- set removes = raw.deletes == 'remove' and counting | selectattr('deleted') | list | length > 0 -%}
    {%- set quoted = lakefeed.quoted(columns) -%}
    {%- set merge -%}
        merge into {{ this }} as target
        using (
            select {{ quoted.values() | join(', ') }}, false as _lakefeed_gone from ({{ query }})
            {%- if removes %}
            union all
            select
                {% for name in columns -%}
                {{ 'any_value(gone.' ~ quoted[name] ~ ')' if name in raw.key else 'null' }} as {{ quoted[name] }},
                {% endfor -%}
                true as _lakefeed_gone
            from lakefeed_new_rows as gone
            where
                gone._deleted_at is not null
                and not {{ lakefeed.among(lakefeed.key_of_raw(raw, 'gone'), lakefeed.key_of_raw(raw), 'from (' ~ query ~ ')') }}
            group by {{ lakefeed.key_of_raw(raw, 'gone') }}
            {%- endif %}
        ) as source
        on {{ lakefeed.same_key(raw, 'target', 'source') }}
        {%- if removes %}
        when matched and source._lakefeed_gone then delete
        {%- endif %}
        when matched then update set
            {% for name in lakefeed.quoted(dropped).values() -%}
            {{ name }} = null,
            {% endfor -%}
            {% for name in columns -%}
            {{ quoted[name] }} = source.{{ quoted[name] }}{{ ',' if not loop.last }}
            {% endfor -%}
        when not matched {{ 'and not source._lakefeed_gone' if removes }} then insert ({{ quoted.values() | join(', ') }})
        values ({% for name in columns %}source.{{ quoted[name] }}{{ ', ' if not loop.last }}{% endfor %})
    {%- endset -%}
    {%- do lakefeed.write_model(merge) -%}
{% endmacro %}


{#
    Replaces the versions of all keys that this query has by those that it has, in one statement. A
    version is recognized by its key and beginning.
#}
{% macro merge_versions(raw, query) %}
    {%- set columns = raw.columns.keys() | list + [
        'valid_from', 'valid_to', 'is_current', 'loaded_at', '_changed_at', '_was_deleted',
        '_dlt_load_id', '_staged_batch'
    ] -%}
    {%- set quoted = lakefeed.quoted(columns) -%}
    {%- do adapter.keep('lakefeed_versions', query) -%}
    {%- set merge -%}
        merge into {{ this }} as target
        using (
            select {{ quoted.values() | join(', ') }}, false as _lakefeed_gone from lakefeed_versions
            union all
            select {{ quoted.values() | join(', ') }}, true as _lakefeed_gone from {{ this }} as known
            where
                exists (
                    select 1 from lakefeed_versions as versions
                    where {{ lakefeed.same_key(raw, 'versions', 'known') }}
                )
                and not exists (
                    select 1 from lakefeed_versions as versions
                    where
                        {{ lakefeed.same_key(raw, 'versions', 'known') }}
                        and versions.valid_from = known.valid_from
                )
        ) as source
        on {{ lakefeed.same_key(raw, 'target', 'source') }} and target.valid_from = source.valid_from
        when matched and source._lakefeed_gone then delete
        when matched then update set
            {% for name in columns -%}
            {{ quoted[name] }} = source.{{ quoted[name] }}{{ ',' if not loop.last }}
            {% endfor -%}
        when not matched and not source._lakefeed_gone then insert ({{ quoted.values() | join(', ') }})
        values ({% for name in columns %}source.{{ quoted[name] }}{{ ', ' if not loop.last }}{% endfor %})
    {%- endset -%}
    {%- do lakefeed.write_model(merge) -%}
    {%- do adapter.let_go('lakefeed_versions') -%}
{% endmacro %}


{# The condition that rows of two relations have the same key. #}
{% macro same_key(raw, left, right) %}
    {%- set conditions = [] -%}
    {%- for name in raw.key -%}
        {%- set form = lakefeed.comparison((raw.get('compared_as') or {}).get(name, '{value}')) -%}
        {%- set column = '.' ~ lakefeed.quote(name) -%}
        {%- do conditions.append(
            form.replace('{value}', left ~ column) ~ ' = ' ~ form.replace('{value}', right ~ column)
        ) -%}
    {%- endfor -%}
    {{- return(conditions | join(' and ')) -}}
{% endmacro %}


{# Records the loads as staged; of a model that was built from nothing, no others stay recorded. #}
{% macro record_loads(loads, extends) %}
    {%- do adapter.dispatch('record_loads', 'lakefeed')(loads, extends) -%}
{% endmacro %}


{% macro default__record_loads(loads, extends) %}
    {%- set name = lakefeed.sql_text(this.identifier) -%}
    {%- set merge -%}
        merge into {{ lakefeed.ledger('staged_loads') }} as known
        using (
            select {{ name }} as model, load_id, snapshot_at, batch
            from lakefeed_new_loads cross join lakefeed_new_loads_batch
        ) as added
        on known.model = added.model and known.load_id = added.load_id
        when not matched then insert (model, load_id, snapshot_at, batch)
        values (added.model, added.load_id, added.snapshot_at, added.batch)
        {%- if not extends %}
        when not matched by source and known.model = {{ name }} then delete
        {%- endif %}
    {%- endset -%}
    {%- do lakefeed.run_statement(merge) if loads or not extends -%}
{% endmacro %}


{# Records one fact about this model. #}
{% macro record_fact(table, column, value) %}
    {%- set merge -%}
        merge into {{ lakefeed.ledger(table) }} as known
        using (
            select {{ lakefeed.sql_text(this.identifier) }} as model, {{ lakefeed.sql_text(value) }} as {{ column }}
        ) as fact
        on known.model = fact.model
        when matched then update set {{ column }} = fact.{{ column }}
        when not matched then insert (model, {{ column }}) values (fact.model, fact.{{ column }})
    {%- endset -%}
    {%- do lakefeed.run_statement(merge) -%}
{% endmacro %}
