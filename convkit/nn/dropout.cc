#include "convkit/nn/dropout.h"

#include "convkit/ops/dropout.h"

namespace convkit::nn {
namespace {

void check(const std::string& layer, double p) {
  CONVKIT_CHECK(p >= 0 && p <= 1, ValueError, layer, ": p (", p,
                ") is the probability of dropping and must be between 0 and 1");
}

std::string text(const std::string& layer, double p) {
  return message(layer, "(p=", p, ", inplace=False)");
}

}  // namespace

Dropout::Dropout(const DropoutOptions& o) : options(o) { check("Dropout", o.p); }

Tensor Dropout::operator()(const Tensor& x) const {
  const Scope scope(path);
  return ops::dropout(x, options.p, training);
}

std::string Dropout::describe() const { return text("Dropout", options.p); }

template <int Rank>
ChannelDropout<Rank>::ChannelDropout(const DropoutOptions& o) : options(o) {
  check(message("Dropout", Rank, "d"), o.p);
}

template <int Rank>
Tensor ChannelDropout<Rank>::operator()(const Tensor& x) const {
  const Scope scope(path);
  if constexpr (Rank == 1) return ops::dropout1d(x, options.p, training);
  if constexpr (Rank == 2) return ops::dropout2d(x, options.p, training);
  if constexpr (Rank == 3) return ops::dropout3d(x, options.p, training);
}

template <int Rank>
std::string ChannelDropout<Rank>::describe() const {
  return text(message("Dropout", Rank, "d"), options.p);
}

template struct ChannelDropout<1>;
template struct ChannelDropout<2>;
template struct ChannelDropout<3>;

}  // namespace convkit::nn
