hiermoe-profile 1
# Whatever saves a row between nodes pays: for tests whose calls are too small for any real network.
name slow-nodes
device cpu
versions any
transport none
groups 4 8
intra 0 0 1e-4 - 0
intra 1 0 1e-7 - 0
inter 1 0 1e-4 - 0
