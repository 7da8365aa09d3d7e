"""Work that needs the processor for seconds, in processes of its own, so that the loop of a worker is free for its streams.

`pool` is the worker's side. The other modules are the child's side: a child imports them alone, so they use nothing but the
standard library, and `model` the library of its model. They import nothing of the service.
"""
