"""scikit-learn's own checks of an estimator."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from cpvae_jax.estimator import CPVAE

TRAINING = {"epochs": 5, "start": "kmeans", "warmup": 1, "start_epochs": 40, "regularisers": ()}
"""A few epochs from k-means: the checks ask for separate blobs to be found."""

IN_EXPECTATION = (
    "mini-batches are drawn at random, so weight 2 and two copies agree in expectation only"
)
OF_CLASSIFIERS = "scikit-learn 1.9 asks a clusterer with predict_proba for classifier tags"

FAILED = {
    "check_sample_weight_equivalence_on_dense_data": IN_EXPECTATION,
    "check_sample_weight_equivalence_on_sparse_data": IN_EXPECTATION,
    "check_estimator_sparse_array": OF_CLASSIFIERS,
    "check_estimator_sparse_matrix": OF_CLASSIFIERS,
}


@parametrize_with_checks(
    [CPVAE(2, latent=2, hidden=(8,), recipe="short", training=TRAINING, random_state=0)],
    expected_failed_checks=lambda estimator: FAILED,
)
def test_scikit_learn_accepts_the_estimator(estimator, check):
    check(estimator)
