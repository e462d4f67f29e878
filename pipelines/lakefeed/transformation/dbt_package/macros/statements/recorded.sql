{# What is recorded of models, where an engine's rows come to Python (../build_state.sql). #}

{% macro add_recorded_by_rows(models, tables) %}
    {%- set by_name = {} -%}
    {%- for model in models.values() -%}
        {%- do model.update({'staged': [], 'staged_at': none, 'compared_as': none, 'made_from': none}) -%}
        {%- do by_name.update({model.name: model}) -%}
    {%- endfor -%}
    {%- if 'staged_loads' in tables -%}
        {%- set staged = adapter.rows('select model, load_id, snapshot_at from ' ~ lakefeed.ledger('staged_loads')) -%}
        {%- for name, load_id, snapshot_at in staged if name in by_name -%}
            {%- set model = by_name[name] -%}
            {%- if not model.staged_at or snapshot_at > model.staged_at -%}
                {%- do model.update({'staged_at': snapshot_at}) -%}
            {%- endif -%}
            {%- do model.staged.append(load_id) if model.is_incremental -%}
        {%- endfor -%}
    {%- endif -%}
    {%- for table, fact in {'compared_keys': 'compared_as', 'histories': 'made_from'}.items() if table in tables -%}
        {%- for name, value in adapter.rows('select model, ' ~ fact ~ ' from ' ~ lakefeed.ledger(table)) if name in by_name -%}
            {%- do by_name[name].update({fact: value}) -%}
        {%- endfor -%}
    {%- endfor -%}
{% endmacro %}
