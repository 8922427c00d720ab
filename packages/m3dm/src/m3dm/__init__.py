"""Multimodal Industrial Anomaly Detection via Hybrid Fusion (Wang et al., CVPR 2023): defects in images and point clouds of parts.

from m3dm import M3DM, ColourBank, Relief, folder_scans, prepared

good = prepared(folder_scans("good_parts", defect="good"))
detector = M3DM(xyz=Relief(), rgb=ColourBank()).fit(good)
prediction = detector.predict(prepared(folder_scans("new_parts"))[0])
prediction.score, prediction.p_value, prediction.map, prediction.fired()
"""

from m3dm.align import alignment, interpolation
from m3dm.bank import BankOptions, MemoryBank
from m3dm.baselines import DepthStatistics
from m3dm.calibration import Threshold, choose_threshold, p_value
from m3dm.colour import ColourBank
from m3dm.coreset import cover_radius, greedy_coreset, project
from m3dm.crossmodal import CrossModal
from m3dm.datasets import Scans, eyecandies, folder_scans, mvtec3d
from m3dm.decision import fuser_named
from m3dm.depth import Height
from m3dm.detector import M3DM, DetectorOptions, Prediction, published_options
from m3dm.evaluation import Evaluation, evaluate_detector
from m3dm.features import PatchFeatures, ScanFeatures, extract
from m3dm.fpfh import FPFH
from m3dm.fusion import FeatureFusion, FusionOptions, load_fusion, train_fusion
from m3dm.gallery import export_ply, write_gallery
from m3dm.metrics import OverlapCurve, Report, auroc, evaluate, sampled_aupro
from m3dm.model_file import load_model, save_model
from m3dm.point_transformer import PointFeatures, PointTransformer
from m3dm.prepared import prepared
from m3dm.preprocess import PreparationOptions, preprocess
from m3dm.relief import Relief
from m3dm.scan import Scan, ScanError
from m3dm.smallnet import SmallNet, SmallNetOptions, train_smallnet
from m3dm.synthetic import SyntheticOptions, make_synthetic
from m3dm.vit import ViT8, ViTFeatures
from m3dm.weights import WeightsError

__version__ = "0.1.0"

__all__ = [
    "FPFH",
    "M3DM",
    "BankOptions",
    "ColourBank",
    "CrossModal",
    "DepthStatistics",
    "DetectorOptions",
    "Evaluation",
    "FeatureFusion",
    "FusionOptions",
    "Height",
    "MemoryBank",
    "OverlapCurve",
    "PatchFeatures",
    "PointFeatures",
    "PointTransformer",
    "Prediction",
    "PreparationOptions",
    "Relief",
    "Report",
    "Scan",
    "ScanError",
    "ScanFeatures",
    "Scans",
    "SmallNet",
    "SmallNetOptions",
    "SyntheticOptions",
    "Threshold",
    "ViT8",
    "ViTFeatures",
    "WeightsError",
    "alignment",
    "auroc",
    "choose_threshold",
    "cover_radius",
    "evaluate",
    "evaluate_detector",
    "export_ply",
    "extract",
    "eyecandies",
    "folder_scans",
    "fuser_named",
    "greedy_coreset",
    "interpolation",
    "load_fusion",
    "load_model",
    "make_synthetic",
    "mvtec3d",
    "p_value",
    "prepared",
    "preprocess",
    "project",
    "published_options",
    "sampled_aupro",
    "save_model",
    "train_fusion",
    "train_smallnet",
    "write_gallery",
]
