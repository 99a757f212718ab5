"""The sandbox tells of its changes as the vendors do: each in its own shape, signed, retried and given up its own way.

Promise: an event is derived from the change that the company itself recorded, and `changes` keeps every one of them,
whether anybody listened or not. The non-obvious decision: bodies are built under the world's lock, at the moment of
the change, and sent by a thread of their own, so that sending never holds an answer of an API up.
"""
