"""What a project declares: `sources.yaml`, read, merged, explained; and its catalogue.

Imports PyYAML and pydantic alone. Nothing here connects to anything or needs a secret.
"""
