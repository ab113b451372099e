"""One worker or several that train one network together, and the training loop that serves both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import keras
import tensorflow as tf

from hydroear_train.cluster import Cluster, WorkerError
from hydroear_train.shards import reading_shards

T = TypeVar("T")

_GATHER_S = 600.0
_SUM = tf.distribute.ReduceOp.SUM


@dataclass(frozen=True, eq=False)
class Workers:
    """This process among those that train together; made by :func:`single_worker` or :func:`join_workers`.

    Attributes
    ----------
    strategy
        TensorFlow's distribution strategy.
    index, count
        Number of this worker, from 0, and how many there are.
    """

    strategy: tf.distribute.Strategy
    index: int
    count: int

    @property
    def is_chief(self) -> bool:
        """Whether this is the one worker that writes what the training gives."""
        return self.index == 0

    def chief_first(self, work: Callable[[], T]) -> T:
        """Do some work on the chief, and only then on the others: they find what it left in a shared folder.

        Raises
        ------
        WorkerError
            If a worker ended.
        """
        if self.is_chief:
            outcome = work()
            self.meet()
        else:
            self.meet()
            outcome = work()
        return outcome

    def meet(self) -> None:
        """Wait for all workers.

        Raises
        ------
        WorkerError
            If a worker ended.
        """
        if self.count > 1:
            with _other_workers():
                float(self.strategy.reduce(_SUM, self.strategy.run(tf.function(lambda: tf.zeros(()))), axis=None))


def single_worker() -> Workers:
    """This process alone."""
    return Workers(tf.distribute.get_strategy(), 0, 1)


def join_workers(*, timeout_s: float = _GATHER_S) -> Workers:
    """Join the workers named in ``TF_CONFIG``; must come before anything else that TensorFlow does.

    Parameters
    ----------
    timeout_s
        How long to wait for all of them.

    Raises
    ------
    UsageError
        If ``TF_CONFIG`` is missing or wrong, or its port is taken.
    WorkerError
        If not all workers come.
    """
    cluster = Cluster.from_environment()
    cluster.gather(timeout_s)
    with _other_workers():
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return Workers(strategy, cluster.index, len(cluster.addresses))


def train(
    model: keras.Model,
    batches: tf.data.Dataset,
    *,
    loss: Callable[[Any, Any], Any],
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule,
    steps: int,
    workers: Workers,
    on_step: Callable[[list[float]], None],
) -> list[float]:
    """Train a model with Adam.

    Several workers train as one with their batches put together: gradients are summed, batch normalisation takes its
    moments over all of them, and every worker ends with the same weights.

    Parameters
    ----------
    model
        A functional or sequential model with the same weights on every worker; trained in place. It stays an ordinary
        model of this process: several workers train copies of it.
    batches
        Of (inputs, labels), without end: this worker's part of each batch, all parts of one size.
    loss
        Takes labels and outputs; gives the loss of each example, shape (n,).
    learning_rate
        A number or a schedule over the steps.
    steps
        How many to take.
    workers
        This worker among the others.
    on_step
        Called after every step with the losses so far.

    Returns
    -------
    list of float
        Mean loss of every step's whole batch.

    Raises
    ------
    HydroearError
        If shards that the batches come from are damaged.
    WorkerError
        If another worker ended.

    Notes
    -----
    Keras 3 cannot ``fit`` on several workers ("Does Keras 3 work with tf.distribute.MultiWorkerMirroredStrategy?",
    https://github.com/keras-team/keras/issues/20585); its layers and optimizers can be used there, as here.
    """
    with workers.strategy.scope():
        trained = model if workers.count == 1 else _synchronised(model)
        optimizer = keras.optimizers.Adam(learning_rate)
        optimizer.build(trained.trainable_variables)

    def step(inputs: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            each = loss(labels, trained(inputs, training=True))
            mean = tf.reduce_sum(each) / tf.cast(tf.size(each) * workers.count, each.dtype)
        # The optimizer sums the gradients of all workers.
        optimizer.apply(tape.gradient(mean, trained.trainable_variables), trained.trainable_variables)
        return mean

    def global_step(inputs: Any, labels: Any) -> Any:
        return workers.strategy.reduce(_SUM, workers.strategy.run(step, (inputs, labels)), axis=None)

    compiled = tf.function(global_step)
    losses: list[float] = []
    with reading_shards(), _other_workers():
        for inputs, labels in batches.take(steps):
            losses.append(float(compiled(inputs, labels)))
            on_step(losses)
    if trained is not model:
        model.set_weights(trained.get_weights())
    return losses


def _synchronised(model: keras.Model) -> keras.Model:
    """A copy, on the strategy of the scope, whose batch normalisation takes its moments over all workers."""

    copy = keras.models.clone_model(model)
    _synchronise(copy)
    copy.set_weights(model.get_weights())
    return copy


def _synchronise(model: keras.Model) -> None:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _synchronise(layer)
        elif isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


@contextmanager
def _other_workers() -> Iterator[None]:
    """Within it, TensorFlow's words for a worker that is gone are an error for the person who started it."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError) as error:
        raise WorkerError(
            "another worker ended or cannot be reached",
            where="multiworker training",
            fix="see what the others said, then start all of them again",
        ) from error
