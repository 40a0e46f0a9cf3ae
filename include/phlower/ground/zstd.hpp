// Compression of texts, of which a file has many alike. The only header that includes zstd.h.
#pragma once

#include <zstd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "phlower/ground/status.hpp"

namespace phlower {

/// One block after the other into frames with a checksum, each readable alone. A dictionary is
/// plain text that the blocks are likely to repeat. Not thread safe.
class Compressor {
 public:
  static constexpr int kLevel = 1;

  void set_dictionary(std::string_view text) {
    dictionary_.reset(text.empty() ? nullptr : ZSTD_createCDict(text.data(), text.size(), kLevel));
  }

  /// Errors: kIo when there is no memory.
  Status compress(std::string_view text, std::string& out) {
    if (context_ == nullptr) {
      context_.reset(ZSTD_createCCtx());
      if (context_ == nullptr) return Status(Code::kIo, "zstd: no memory");
      ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kLevel);
      ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_checksumFlag, 1);
    }
    ZSTD_CCtx_refCDict(context_.get(), dictionary_.get());
    out.resize(ZSTD_compressBound(text.size()));
    const std::size_t bytes =
        ZSTD_compress2(context_.get(), out.data(), out.size(), text.data(), text.size());
    if (ZSTD_isError(bytes) != 0) {
      return Status(Code::kIo, std::string("zstd: ") + ZSTD_getErrorName(bytes));
    }
    out.resize(bytes);
    return Status();
  }

 private:
  struct Free {
    void operator()(ZSTD_CCtx* context) const noexcept { ZSTD_freeCCtx(context); }
    void operator()(ZSTD_CDict* dictionary) const noexcept { ZSTD_freeCDict(dictionary); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context_;
  std::unique_ptr<ZSTD_CDict, Free> dictionary_;
};

/// The way back. Not thread safe.
class Decompressor {
 public:
  void set_dictionary(std::string_view text) {
    dictionary_.reset(text.empty() ? nullptr : ZSTD_createDDict(text.data(), text.size()));
  }

  /// Errors: kCorrupt for what is no whole frame, fails its checksum or is longer than `max_bytes`.
  Status decompress(std::string_view frame, std::size_t max_bytes, std::string& out) {
    if (context_ == nullptr) context_.reset(ZSTD_createDCtx());
    if (context_ == nullptr) return Status(Code::kIo, "zstd: no memory");
    const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > max_bytes) {
      return Status(Code::kCorrupt, "no zstd frame that says its size, of at most " +
                                        std::to_string(max_bytes) + " bytes");
    }
    ZSTD_DCtx_refDDict(context_.get(), dictionary_.get());
    out.resize(static_cast<std::size_t>(size));
    const std::size_t bytes =
        ZSTD_decompressDCtx(context_.get(), out.data(), out.size(), frame.data(), frame.size());
    if (ZSTD_isError(bytes) != 0 || bytes != size) {
      return Status(Code::kCorrupt, "a zstd frame that does not decompress");
    }
    return Status();
  }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* context) const noexcept { ZSTD_freeDCtx(context); }
    void operator()(ZSTD_DDict* dictionary) const noexcept { ZSTD_freeDDict(dictionary); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_;
  std::unique_ptr<ZSTD_DDict, Free> dictionary_;
};

}  // namespace phlower
