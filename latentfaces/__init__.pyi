# The public names of the package, and where they live: the one list, read by type checkers and editors, and by __init__.py.
from .labels import load_attributes as load_attributes
from .images import load_images as load_images
from .labels import load_partition as load_partition
from .labels import split_indices as split_indices
from .drawn import synthetic_faces as synthetic_faces
from .alignment import Alignment as Alignment
from .alignment import align_face as align_face

from .autoencoder import build_autoencoder as build_autoencoder
from .autoencoder import build_decoder as build_decoder
from .autoencoder import build_encoder as build_encoder
from .training import train_autoencoder as train_autoencoder

from .networks import Network as Network
from .bundle import Bundle as Bundle
from .bundle import load_bundle as load_bundle
from .bundle import train_bundle as train_bundle

from .moments import Moments as Moments
from .distributions import component_statistics as component_statistics
from .distributions import half_widths as half_widths
from .distributions import number_density as number_density
from .distributions import origin_position as origin_position
from .correlations import correlation_matrix as correlation_matrix
from .correlations import dependence as dependence
from .correlations import strongest_pairs as strongest_pairs
from .gaussian import LatentGaussian as LatentGaussian
from .gaussian import normality as normality
from .gaussian import normality_tests as normality_tests
from .pca import LatentPCA as LatentPCA
from .pca import walk_axis as walk_axis
from .ellipses import ConfidenceEllipse as ConfidenceEllipse
from .ellipses import confidence_ellipse as confidence_ellipse

from .sampling import DensitySampler as DensitySampler
from .sampling import EllipticSampler as EllipticSampler
from .sampling import GaussianSampler as GaussianSampler
from .sampling import IndependentSampler as IndependentSampler
from .sampling import LatentSampler as LatentSampler
from .sampling import SAMPLERS as SAMPLERS
from .sampling import UniformSampler as UniformSampler
from .sampling import WhiteDensitySampler as WhiteDensitySampler
from .sampling import WhiteSampler as WhiteSampler
from .sampling import load_sampler as load_sampler
from .sampling import make_sampler as make_sampler
from .densities import BlendSampler as BlendSampler
from .densities import CopulaSampler as CopulaSampler
from .densities import EigenfaceSampler as EigenfaceSampler
from .densities import EmpiricalRadiusSampler as EmpiricalRadiusSampler
from .densities import GaussianizationSampler as GaussianizationSampler
from .densities import KernelSampler as KernelSampler
from .densities import MixtureSampler as MixtureSampler
from .densities import ScaleMixtureSampler as ScaleMixtureSampler
from .densities import TruncatedGaussianSampler as TruncatedGaussianSampler
from .flow import FlowSampler as FlowSampler

from .generation import generate_faces as generate_faces
from .generation import walk_between as walk_between
from .generation import walk_plane as walk_plane
from .pictures import face_sheet as face_sheet
from .plots import plot_faces as plot_faces

from .metrics import attribute_shares as attribute_shares
from .metrics import density_and_coverage as density_and_coverage
from .metrics import diversity as diversity
from .metrics import face_rate as face_rate
from .metrics import frechet_distance as frechet_distance
from .metrics import frechet_extrapolated as frechet_extrapolated
from .metrics import kernel_distance as kernel_distance
from .metrics import memorisation as memorisation
from .metrics import pixel_spread as pixel_spread
from .metrics import sharpness as sharpness
from .metrics import standard_error as standard_error
from .features import Features as Features
from .features import load_features as load_features
from .features import train_attribute_network as train_attribute_network
from .evaluation import Reference as Reference
from .evaluation import build_reference as build_reference
from .evaluation import evaluate as evaluate
from .evaluation import format_table as format_table
from .evaluation import load_reference as load_reference
from .evaluation import readable_table as readable_table
from .evaluation import reference_for as reference_for
from .evaluation import write_table as write_table
from .panel import Panel as Panel
from .panel import judge_samplers as judge_samplers
from .identity import Gallery as Gallery
from .identity import IdentityLeak as IdentityLeak
from .identity import build_gallery as build_gallery
from .identity import identity_leak as identity_leak
from .choice import Advice as Advice
from .choice import advise as advise
from .choice import compare_samplers as compare_samplers
from .report import LatentReport as LatentReport
from .report import latent_report as latent_report

__version__: str
