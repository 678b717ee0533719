"""Training: `fit` is the only loop; `step` is what an epoch computes, `program` how it is compiled."""
