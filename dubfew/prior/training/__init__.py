"""Training of the prior: the loop in `trainer`, everything else in files around it.

- `config`: everything that decides a training.
- `batches`: the samples of each process and step.
- `model`: the renderer with its loss, and the textures of the people.
- `validation`: held-out people, rendered at every checkpoint.
- `logging`, `fingerprint`: the log, and what has to be the same when a run goes on.

What is particular to a renderer is its *recipe* (`dubfew.prior.recipes`): losses, critics,
optimizers and stages. What is particular to its family, such as the samples, is in
`blending_data`.
"""
