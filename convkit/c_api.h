#pragma once

/// convkit in C: trained nets from ONNX files. Link convkit::onnx.
#include "convkit/onnx/c_api.h"
