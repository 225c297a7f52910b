"""Agreement with the package grad-cam (pytorch_grad_cam), an independent implementation, on single layers."""

import numpy as np
import pytest

from geoexplain.explainer.cams import grad_cam_plus_plus, score_cam
from geoexplain.explainer.table import stage_maps
from geoexplain.explainer.trace import trace
from geoexplain.locator.model import Network
from tests.explainer.networks import image_tensor, random_model

pytestmark = pytest.mark.filterwarnings("ignore")
package = pytest.importorskip("pytorch_grad_cam")

PEERS = {"grad-cam": "GradCAM", "grad-cam++": "GradCAMPlusPlus", "layer-cam": "LayerCAM", "score-cam": "ScoreCAM"}
TARGET = 3
PACKAGE_EPSILON = 1e-6
"""What the package adds to the denominator of alpha in Grad-CAM++; the paper, and geoexplain, add nothing."""


def peer_map(method: str, model, layer, tensor) -> np.ndarray:
    """The package's map (h, w) of one layer before it scales and resizes."""
    targets = [package.utils.model_targets.ClassifierOutputTarget(TARGET)]
    network = Network(model.backbone, model.head)
    with getattr(package, PEERS[method])(model=network, target_layers=[layer]) as cam:
        image = tensor.clone().requires_grad_()
        activation, gradient = peer_tensors(cam, image, targets)
        return np.maximum(cam.get_cam_image(image, layer, targets, activation, gradient, False), 0)[0]


def peer_tensors(cam, image, targets):
    output = cam.activations_and_grads(image)
    targets[0](output[0]).backward()
    return cam.activations_and_grads.activations[0].numpy(), cam.activations_and_grads.gradients[0].numpy()


@pytest.fixture(scope="module")
def tensor():
    return image_tensor(1, (96, 128))


@pytest.fixture(scope="module")
def steep_model():
    """Logits in the hundred thousands, so that gradients are large compared with the package's constant."""
    return random_model(head_gain=1e5)


@pytest.mark.parametrize("method", ["grad-cam", "layer-cam"])
@pytest.mark.parametrize("block", [0, 2, 5, 10, 15])
def test_single_layers_agree(model, tensor, method, block) -> None:
    values = stage_maps(trace(model, tensor, TARGET, "logit"), method, "block")[block].values
    expected = peer_map(method, model, model.backbone.blocks[block], tensor)
    assert expected.max() > 0
    np.testing.assert_allclose(values, expected, atol=1e-4 * expected.max())


@pytest.mark.parametrize("block", [0, 2, 5, 10, 15])
def test_grad_cam_plus_plus_agrees_where_the_constant_of_the_package_is_negligible(steep_model, tensor, block) -> None:
    result = trace(steep_model, tensor, TARGET, "logit")
    assert result.blocks[block].gradient.abs().mean() > 10
    values = stage_maps(result, "grad-cam++", "block")[block].values
    expected = peer_map("grad-cam++", steep_model, steep_model.backbone.blocks[block], tensor)
    assert expected.max() > 0
    np.testing.assert_allclose(values, expected, atol=1e-4 * expected.max())


@pytest.mark.parametrize("block", [10, 15])
def test_grad_cam_plus_plus_differs_by_that_constant_alone(model, tensor, block) -> None:
    stage = trace(model, tensor, TARGET, "logit").blocks[block]
    expected = peer_map("grad-cam++", model, model.backbone.blocks[block], tensor)
    g, total = stage.gradient, stage.activation.sum(dim=(1, 2), keepdim=True)
    alpha = g**2 / (2 * g**2 + total * g**3 + PACKAGE_EPSILON)
    weights = (alpha * g.relu()).sum(dim=(1, 2), keepdim=True)
    with_constant = (weights * stage.activation).sum(dim=0).relu().numpy()
    np.testing.assert_allclose(with_constant, expected, atol=1e-4 * expected.max())
    exact = grad_cam_plus_plus(stage).numpy()
    assert np.abs(exact / exact.max() - expected / expected.max()).max() > 1e-4, "no difference: drop the comment"


def test_score_cam_agrees(model, tensor) -> None:
    result = trace(model, tensor, TARGET, "logit")
    values = score_cam(model, tensor, result, result.stages[2]).values
    expected = peer_map("score-cam", model, model.backbone.blocks[4], tensor)
    assert expected.max() > 0
    np.testing.assert_allclose(values, expected, atol=1e-4 * expected.max())
