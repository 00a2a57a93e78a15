#pragma once

#include <array>
#include <cairn/state.hpp>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ranks.hpp"

/// Row-major.
struct Matrix {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<float> values = std::vector<float>(rows * columns);

  std::span<float> row(std::size_t i) { return std::span(values).subspan(i * columns, columns); }
  std::span<const float> row(std::size_t i) const {
    return std::span(values).subspan(i * columns, columns);
  }
};

/// This rank's slice of a weight, and of the two moments that Adam keeps of its gradient.
struct Parameter {
  std::string name;
  cairn::Slice slice;
  Matrix weight, gradient, mean, variance;
};

/// Guesses the next byte of a text from the `kContext` bytes before it.
///
///   input   = the embeddings of the context, side by side
///   hidden  = relu(input x up + up_bias)          `up` is split by columns
///   mixed   = relu(hidden x down + down_bias)     `down` is split by rows: a sum over the ranks
///   logits  = mixed x out + out_bias              `out` is split by columns, that is, by bytes
///
/// The embedding and `down_bias` are whole on every rank.
class Model {
 public:
  static constexpr std::size_t kContext = 12;
  static constexpr std::size_t kVocabulary = 256;
  static constexpr std::size_t kEmbedding = 16;
  static constexpr std::size_t kHidden = 128;
  static constexpr std::size_t kMixed = 64;

  /// First values are a function of the element's index in the whole tensor.
  explicit Model(const Ranks& ranks);

  /// Names all weights and moments.
  void add_to(cairn::State& state);

  /// Collective. One step of Adam on windows of `kContext + 1` bytes, the same on every rank; each
  /// data-parallel rank takes its share. Returns their mean loss in nats before the update.
  double train(std::span<const std::string_view> windows, std::uint64_t step);

  /// Collective. `length` bytes that might follow `start`, of at least `kContext` bytes.
  [[nodiscard]] std::string write_on(const std::string& start, std::size_t length) const;

 private:
  struct Activations {
    Matrix input, hidden, mixed, logits;
  };
  Activations forward(std::span<const std::string_view> windows) const;
  double loss_and_gradient(Matrix& logits, std::span<const std::string_view> windows,
                           std::size_t batch) const;
  void backward(const Activations& at, std::span<const std::string_view> windows);
  void update(std::uint64_t step);

  auto all() {
    return std::array{&embedding_, &up_, &up_bias_, &down_, &down_bias_, &out_, &out_bias_};
  }

  const Ranks& ranks_;
  Parameter embedding_, up_, up_bias_, down_, down_bias_, out_, out_bias_;
};
