"""Pages for administrators and a JSON API, over the read-only side of storage.

node.py says what they are told of the node, app.py which addresses there are, server.py serves them.
"""
