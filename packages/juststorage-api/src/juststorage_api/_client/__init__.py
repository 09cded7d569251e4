"""The commands that talk to a server over HTTP: `objects`, `usage`, `import` and `export`.

They repeat what may be repeated while the server is away for a moment, and compare the hashes of
what they moved. They live with the server because only this package knows its HTTP.
"""
