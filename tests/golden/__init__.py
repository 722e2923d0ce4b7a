"""The platform before its migrations, recorded: how it is recorded, and how whatever comes later is held to the recording.

    pre_migration/calls/          every external RPC of models, registry, inference and training: what was asked and answered
                  conversations/  the training stream, byte for byte
                  trajectories/   gradients that came to a sync job, and the parameters that came of them
                  schemas/        the four areas' databases
                  descriptors.binpb, SHA256SUMS

Nothing in an answer is masked: clock, ids, the release's name and the processes of training jobs are injected (`stage`).

`python -m tests.golden.record` wrote it, once, from the platform as it was; tests/integration/golden/ replays and pins it.
Whoever migrates an area behind its contract changes nothing in `pre_migration/`. When an option or a method becomes available,
its row leaves the table of what is not, and the calls that it refused (`to_come`) are no longer made.
"""
