hiermoe-profile 1
# Whatever saves a row pays, inside a node too: for tests whose calls are too small for the links they run over.
name slow-links
device gpu
versions any
transport none
groups 4 8
intra 0 0 1e-4 - 0
intra 1 0 1e-6 - 0
inter 1 0 1e-4 - 0
