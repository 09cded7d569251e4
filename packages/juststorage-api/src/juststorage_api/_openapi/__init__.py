"""The OpenAPI 3.1 document, and a reference for people that is rendered from it.

Nothing is imported here: a server that starts needs none of it yet.
"""
