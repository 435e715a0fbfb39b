"""Parts that the training loops of prior, actors and speech model share.

The loops themselves stay apart and visible, each in one function: ``prior/training/trainer.py``,
``adapt/trainer.py`` and ``speech/training/trainer.py``. All of them have this form:

    model, optimizer = accelerator.prepare(model, optimizer)
    schedule = LearningRateSchedule(optimizer, factor)  # before a resume state is loaded
    for step in range(steps_done, num_steps):
        schedule.set_step(step)
        with accelerator.accumulate(model):
            loss = model(batch)
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
            optimizer.step()
            optimizer.zero_grad()
        update_ema(average, model, decay)

A loop that accumulates no batches leaves ``accumulate`` and ``sync_gradients`` out; one that needs
no second process may call torch's own ``loss.backward()`` and ``clip_grad_norm_``.

- `schedules`: learning rates as a function of the step, so that a resumed run needs no state.
- `ema`: moving average of the weights.
- `early_stopping`: keep the weights of the best validation, stop without gain.
- `resume_state`: a run's state on disk, whole or not at all.
- `accelerator`: set-up of Accelerate, and work that its processes share.
- `interruption`: signals end a training between two steps.
"""

# Largest norm of the gradients of a network. A step on an odd batch would otherwise undo many good
# ones; typical norms are below it, so that it changes few steps. Used by all trainers.
MAX_GRADIENT_NORM = 1.0
