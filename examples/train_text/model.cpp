#include "model.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "text.hpp"

namespace {

constexpr double kLearningRate = 6e-3;
constexpr double kMeanDecay = 0.9;
constexpr double kVarianceDecay = 0.99;
constexpr float kTemperature = 0.5F;

unsigned byte_at(std::string_view text, std::size_t i) {
  return static_cast<unsigned char>(text[i]);
}

/// `tensor_map` says over which ranks each dimension of `shape` is split.
Parameter make_zeros(const Ranks& ranks, std::string name, cairn::Shape shape,
                     std::vector<int> tensor_map) {
  const cairn::Slice slice = cairn::place(std::move(shape), ranks.mesh, tensor_map, ranks.rank);
  const Matrix zeros{slice.extent.size() == 1 ? 1 : slice.extent.front(), slice.extent.back()};
  return {std::move(name), slice, zeros, zeros, zeros, zeros};
}

/// Uniform values of that deviation, each a function of `seed` and its index in the whole tensor.
Parameter make_random(const Ranks& ranks, std::string name, cairn::Shape shape,
                      std::vector<int> tensor_map, std::uint64_t seed, double deviation) {
  Parameter made = make_zeros(ranks, std::move(name), std::move(shape), std::move(tensor_map));
  const cairn::Slice& slice = made.slice;
  for (std::size_t i = 0; i < made.weight.rows; ++i) {
    std::uint64_t index = (slice.offset[0] + i) * slice.global[1] + slice.offset[1];
    for (float& w : made.weight.row(i)) {
      const double centered = 2 * Random{(seed << 32U) + index++}.uniform() - 1;
      w = static_cast<float>(std::sqrt(3.0) * deviation * centered);
    }
  }
  return made;
}

/// out += a x b. The innermost loop runs along rows of `b` and `out`, which compilers vectorise
/// without reordering a sum.
void add_product(const Matrix& a, const Matrix& b, Matrix& out) {
  for (std::size_t i = 0; i < a.rows; ++i) {
    float* const to = out.row(i).data();
    for (std::size_t k = 0; k < a.columns; ++k) {
      const float factor = a.row(i)[k];
      const float* const from = b.row(k).data();
      for (std::size_t j = 0; j < b.columns; ++j) to[j] += factor * from[j];
    }
  }
}

Matrix product(const Matrix& a, const Matrix& b) {
  Matrix out{a.rows, b.columns};
  add_product(a, b, out);
  return out;
}

Matrix transposed(const Matrix& a) {
  Matrix out{a.columns, a.rows};
  for (std::size_t i = 0; i < a.rows; ++i) {
    for (std::size_t j = 0; j < a.columns; ++j) out.row(j)[i] = a.row(i)[j];
  }
  return out;
}

/// Adds the bias to every row.
void add_bias(const Parameter& bias, Matrix& to) {
  for (std::size_t i = 0; i < to.rows; ++i) {
    for (std::size_t j = 0; j < to.columns; ++j) to.row(i)[j] += bias.weight.values[j];
  }
}

void apply_relu(Matrix& values) {
  for (float& v : values.values) v = std::max(v, 0.0F);
}

/// From the gradient of relu's result to that of its argument.
void through_relu(const Matrix& result, Matrix& gradient) {
  for (std::size_t i = 0; i < result.values.size(); ++i) {
    if (result.values[i] == 0) gradient.values[i] = 0;
  }
}

/// The gradients of a layer's weight and bias, from those of its results.
void add_gradients(const Matrix& input, const Matrix& d_result, Parameter& weight,
                   Parameter& bias) {
  add_product(transposed(input), d_result, weight.gradient);
  add_product(Matrix{1, d_result.rows, std::vector<float>(d_result.rows, 1)}, d_result,
              bias.gradient);
}

}  // namespace

Model::Model(const Ranks& ranks)
    : ranks_(ranks),
      embedding_(
          make_random(ranks, "embedding", {kVocabulary, kEmbedding}, {kNotSplit, kNotSplit}, 1, 1)),
      up_(make_random(ranks, "up/weight", {kContext * kEmbedding, kHidden},
                      {kNotSplit, kOverTensorRanks}, 2, 1 / std::sqrt(kContext * kEmbedding))),
      up_bias_(make_zeros(ranks, "up/bias", {kHidden}, {kOverTensorRanks})),
      down_(make_random(ranks, "down/weight", {kHidden, kMixed}, {kOverTensorRanks, kNotSplit}, 3,
                        1 / std::sqrt(kHidden))),
      down_bias_(make_zeros(ranks, "down/bias", {kMixed}, {kNotSplit})),
      out_(make_random(ranks, "out/weight", {kMixed, kVocabulary}, {kNotSplit, kOverTensorRanks}, 4,
                       0.1 / std::sqrt(kMixed))),
      out_bias_(make_zeros(ranks, "out/bias", {kVocabulary}, {kOverTensorRanks})) {}

void Model::add_to(cairn::State& state) {
  for (Parameter* p : all()) {
    state.add("model/" + p->name, std::span(p->weight.values), p->slice)
        .add("optimizer/mean/" + p->name, std::span(p->mean.values), p->slice)
        .add("optimizer/variance/" + p->name, std::span(p->variance.values), p->slice);
  }
}

Model::Activations Model::forward(std::span<const std::string_view> windows) const {
  Activations at;
  at.input = Matrix{windows.size(), kContext * kEmbedding};
  for (std::size_t i = 0; i < windows.size(); ++i) {
    for (std::size_t c = 0; c < kContext; ++c) {
      std::ranges::copy(embedding_.weight.row(byte_at(windows[i], c)),
                        at.input.row(i).begin() + c * kEmbedding);
    }
  }
  at.hidden = product(at.input, up_.weight);
  add_bias(up_bias_, at.hidden);
  apply_relu(at.hidden);

  at.mixed = product(at.hidden, down_.weight);
  sum_in_rank_order(ranks_.tensor_group, std::span(at.mixed.values));
  add_bias(down_bias_, at.mixed);
  apply_relu(at.mixed);

  at.logits = product(at.mixed, out_.weight);
  add_bias(out_bias_, at.logits);
  return at;
}

/// The sum of the losses of `windows`. Turns the logits into their gradients of the mean over a
/// batch. Each rank has the logits of some bytes only: from each other they learn the largest, the
/// sum of exponentials below it, and the logit of the byte that came.
double Model::loss_and_gradient(Matrix& logits, std::span<const std::string_view> windows,
                                std::size_t batch) const {
  struct Part {
    float largest, sum, target;
  };
  const std::size_t first = out_bias_.slice.offset[0];
  const auto place_of_target = [&](std::size_t i) { return byte_at(windows[i], kContext) - first; };

  std::vector<Part> parts(windows.size());
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const std::span<float> row = logits.row(i);
    const std::size_t target = place_of_target(i);
    parts[i] = {std::ranges::max(row), 0, target < row.size() ? row[target] : 0};
    for (const float logit : row) parts[i].sum += std::exp(logit - parts[i].largest);
  }
  const std::vector<Part> all = gather(ranks_.tensor_group, std::span<const Part>(parts));

  double loss = 0;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    Part whole = all[i];
    for (std::size_t j = i + windows.size(); j < all.size(); j += windows.size()) {
      const float largest = std::max(whole.largest, all[j].largest);
      whole.sum = whole.sum * std::exp(whole.largest - largest) +
                  all[j].sum * std::exp(all[j].largest - largest);
      whole.largest = largest;
      whole.target += all[j].target;
    }
    loss += std::log(whole.sum) + whole.largest - whole.target;

    const std::span<float> row = logits.row(i);
    const std::size_t target = place_of_target(i);
    for (float& logit : row) logit = std::exp(logit - whole.largest) / whole.sum;
    if (target < row.size()) row[target] -= 1;
    for (float& d : row) d /= static_cast<float>(batch);
  }
  return loss;
}

void Model::backward(const Activations& at, std::span<const std::string_view> windows) {
  for (Parameter* p : all()) std::ranges::fill(p->gradient.values, 0.0F);

  const Matrix& d_logits = at.logits;  // see `train`
  add_gradients(at.mixed, d_logits, out_, out_bias_);
  Matrix d_mixed = product(d_logits, transposed(out_.weight));
  sum_in_rank_order(ranks_.tensor_group, std::span(d_mixed.values));
  through_relu(at.mixed, d_mixed);

  add_gradients(at.hidden, d_mixed, down_, down_bias_);
  Matrix d_hidden = product(d_mixed, transposed(down_.weight));
  through_relu(at.hidden, d_hidden);

  add_gradients(at.input, d_hidden, up_, up_bias_);
  const Matrix d_input = product(d_hidden, transposed(up_.weight));
  for (std::size_t i = 0; i < windows.size(); ++i) {
    for (std::size_t c = 0; c < kContext; ++c) {
      const std::span<float> to = embedding_.gradient.row(byte_at(windows[i], c));
      const std::span<const float> from = d_input.row(i).subspan(c * kEmbedding, kEmbedding);
      std::ranges::transform(to, from, to.begin(), std::plus{});
    }
  }
  sum_in_rank_order(ranks_.tensor_group, std::span(embedding_.gradient.values));
}

/// Adds up the gradients of all shares of the batch, in one message, and takes a step of Adam.
void Model::update(std::uint64_t step) {
  std::vector<float> gradients;
  for (const Parameter* p : all()) {
    gradients.insert(gradients.end(), p->gradient.values.begin(), p->gradient.values.end());
  }
  sum_in_rank_order(ranks_.data_group, std::span(gradients));

  const auto n = static_cast<double>(step);
  const double rate =
      kLearningRate * std::sqrt(1 - std::pow(kVarianceDecay, n)) / (1 - std::pow(kMeanDecay, n));
  auto g = gradients.begin();
  for (Parameter* p : all()) {
    for (std::size_t i = 0; i < p->weight.values.size(); ++i, ++g) {
      float& mean = p->mean.values[i];
      float& variance = p->variance.values[i];
      mean += static_cast<float>(1 - kMeanDecay) * (*g - mean);
      variance += static_cast<float>(1 - kVarianceDecay) * (*g * *g - variance);
      p->weight.values[i] -= static_cast<float>(rate) * mean / (std::sqrt(variance) + 1e-8F);
    }
  }
}

double Model::train(std::span<const std::string_view> windows, std::uint64_t step) {
  const cairn::Slice share =
      cairn::place({windows.size()}, ranks_.mesh, std::array{kOverDataRanks}, ranks_.rank);
  const auto mine = windows.subspan(share.offset[0], share.extent[0]);

  Activations at = forward(mine);
  double loss = loss_and_gradient(at.logits, mine, windows.size());  // logits become gradients
  backward(at, mine);
  update(step);

  sum_in_rank_order(ranks_.data_group, std::span(&loss, 1));
  return loss / static_cast<double>(windows.size());
}

/// Draws by the Gumbel trick: the byte with the largest sum of logit and noise. Each rank looks for
/// it among its own bytes, and the best of those wins.
std::string Model::write_on(const std::string& start, std::size_t length) const {
  struct Candidate {
    float score;
    std::uint32_t byte;
  };
  const auto first = static_cast<std::uint32_t>(out_bias_.slice.offset[0]);
  std::string text = start;
  for (std::size_t n = 0; n < length; ++n) {
    const std::string_view context = std::string_view(text).substr(text.size() - kContext);
    const Activations at = forward(std::span(&context, 1));
    Candidate best{-1e30F, 0};
    for (std::uint32_t i = 0; i < at.logits.columns; ++i) {
      const double noise = -std::log(-std::log(Random{n * kVocabulary + first + i}.uniform()));
      const float score = at.logits.values[i] / kTemperature + static_cast<float>(noise);
      if (score > best.score) best = {score, first + i};
    }
    const auto all = gather(ranks_.tensor_group, std::span<const Candidate>(&best, 1));
    text += static_cast<char>(std::ranges::max(all, {}, &Candidate::score).byte);
  }
  return text.substr(start.size());
}
