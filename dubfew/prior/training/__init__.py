"""Training of the prior: the loop in `trainer`, everything else in files around it.

- `config`: everything that decides a training.
- `batches`: the samples of each process and step.
- `model`: the renderer with its loss, and the textures of the people.
- `validation`: held-out people, rendered at every checkpoint.
- `logging`, `fingerprint`: the log, and what has to be the same when a run goes on.

There is one loss with one discriminator. Trainings with other networks, losses or several critics
(a *recipe* each) are to become modules of a package beside this one, with the loop in common.
"""
