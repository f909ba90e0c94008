"""Look into the latent space of a face autoencoder, and draw new faces from it.

The modules are exported from the notebooks in nbs/: edit those, not the .py files beside this one.
"""
__version__ = "0.1.0"

from importlib import import_module

# Where each public name lives; a module is imported when one of its names is first used, so that
# `import latentfaces` costs neither TensorFlow nor Matplotlib.
_PUBLIC = {
    "data": ["load_images", "load_attributes", "load_partition", "synthetic_faces", "split_indices"],
    "autoencoder": ["build_encoder", "build_decoder", "build_autoencoder"],
    "training": ["train_autoencoder"],
    "bundle": ["Bundle", "load_bundle"],
    "distributions": ["component_statistics", "half_widths", "number_density", "origin_position"],
    "correlations": ["correlation_matrix", "dependence", "strongest_pairs"],
    "gaussian": ["LatentGaussian", "normality", "normality_tests"],
    "pca": ["LatentPCA", "walk_axis"],
    "ellipses": ["ConfidenceEllipse", "confidence_ellipse"],
    "sampling": ["EllipticSampler", "UniformSampler", "IndependentSampler", "GaussianSampler", "load_sampler"],
    "densities": ["TruncatedGaussianSampler", "EmpiricalRadiusSampler", "ScaleMixtureSampler", "CopulaSampler", "MixtureSampler",
                  "KernelSampler", "GaussianizationSampler", "BlendSampler", "EigenfaceSampler"],
    "flow": ["FlowSampler"],
    "generation": ["generate_faces", "walk_between", "walk_plane"],
    "evaluation": ["Features", "density_and_coverage", "evaluate", "face_rate", "frechet_distance", "kernel_distance", "memorisation",
                   "pixel_spread", "sharpness", "variety"],
    "report": ["analyse", "write_report"],
}
_WHERE = {name: module for module, names in _PUBLIC.items() for name in names}
__all__ = sorted(_WHERE)


def __getattr__(name):
    if name in _WHERE: return getattr(import_module(f"latentfaces.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'latentfaces' has no attribute {name!r}")


def __dir__(): return sorted([*globals(), *__all__])
