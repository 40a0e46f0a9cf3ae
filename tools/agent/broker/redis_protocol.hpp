// The bytes of Redis as replies, and commands as bytes. The only includer of hiredis.
#pragma once

#include <hiredis.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "phlower/ground/status.hpp"

namespace phlower::agent {

/// A reply: the texts of an array, or one text.
struct RedisReply {
  bool error = false;
  std::vector<std::string_view> texts;  // valid until the next call of the parser
};

/// A command as Redis wants its bytes.
inline std::string redis_command(const std::vector<std::string_view>& words) {
  std::vector<const char*> data;
  std::vector<std::size_t> sizes;
  for (const std::string_view word : words) {
    data.push_back(word.data());
    sizes.push_back(word.size());
  }
  char* text = nullptr;
  const int size =
      ::redisFormatCommandArgv(&text, static_cast<int>(words.size()), data.data(), sizes.data());
  if (size < 0) return {};
  std::string command(text, static_cast<std::size_t>(size));
  ::redisFreeCommand(text);
  return command;
}

/// Bytes in, replies out. Arrays of texts, which messages are, it shows where they stand; all else
/// it leaves to hiredis. Memory: bounded by `kUnreadMax`.
class RedisParser {
 public:
  /// Celery's largest messages are far below; beyond it the other side is not to be trusted.
  static constexpr std::size_t kUnreadMax = 64u << 20;

  RedisParser() : reader_(::redisReaderCreate(), &::redisReaderFree) {}

  /// Where bytes may be put before `took` is told how many. What `next` showed is gone.
  std::span<char> room() {
    if (begin_ == end_) begin_ = end_ = 0;
    if (begin_ == 0 && end_ == 0 && buffer_.size() > kKept) buffer_ = std::vector<char>();
    if (buffer_.size() - end_ < kRead && begin_ > 0) {
      std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    if (buffer_.size() - end_ < kRead) buffer_.resize(2 * (end_ + kRead));
    return {buffer_.data() + end_, buffer_.size() - end_};
  }
  void took(std::size_t bytes) { end_ += bytes; }

  /// The same for bytes that are elsewhere.
  void feed(std::string_view bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
      const std::span<char> to = room();
      const std::size_t part = bytes.copy(to.data(), to.size(), at);
      took(part);
      at += part;
    }
  }

  /// The next whole reply; false: it takes more bytes. Errors: kCorrupt, after which the connection
  /// is of no use.
  Result<bool> next(RedisReply& out) {
    if (!slow_) {
      switch (take_texts(out)) {
        case Found::kWhole: return true;
        case Found::kPart:
          if (end_ - begin_ > kUnreadMax) return too_long();
          return false;
        case Found::kOther: break;
      }
    }
    return next_slow(out);
  }

 private:
  enum class Found : std::uint8_t { kWhole, kPart, kOther };

  static constexpr std::size_t kRead = 128 << 10;  // what is read at once, at least
  static constexpr std::size_t kKept = 1 << 20;    // a longer message is rare, its memory goes
  static constexpr std::size_t kTextsMax = 16;

  struct Free {
    void operator()(redisReply* reply) const { ::freeReplyObject(reply); }
  };

  // `mark` and a number up to the end of its line.
  static Found take_size(std::string_view& bytes, char mark, std::size_t& size) {
    constexpr std::size_t kDigits = 9;
    if (bytes.empty()) return Found::kPart;
    if (bytes[0] != mark) return Found::kOther;
    std::size_t at = 1;
    for (size = 0; at < bytes.size() && bytes[at] >= '0' && bytes[at] <= '9'; ++at) {
      size = size * 10 + static_cast<std::size_t>(bytes[at] - '0');
      if (at == kDigits) return Found::kOther;
    }
    if (bytes.size() - at < 2) return Found::kPart;
    if (at == 1 || bytes[at] != '\r' || bytes[at + 1] != '\n') return Found::kOther;
    bytes.remove_prefix(at + 2);
    return Found::kWhole;
  }

  Found take_texts(RedisReply& out) {
    std::string_view bytes(buffer_.data() + begin_, end_ - begin_);
    std::size_t texts = 0;
    Found found = take_size(bytes, '*', texts);
    if (found != Found::kWhole) return found;
    if (texts == 0 || texts > kTextsMax) return Found::kOther;
    out.error = false;
    out.texts.clear();
    for (; texts > 0; --texts) {
      std::size_t size = 0;
      found = take_size(bytes, '$', size);
      if (found != Found::kWhole) return found;
      if (bytes.size() < size + 2) return Found::kPart;
      if (bytes[size] != '\r' || bytes[size + 1] != '\n') return Found::kOther;
      out.texts.push_back(bytes.substr(0, size));
      bytes.remove_prefix(size + 2);
    }
    begin_ = end_ - bytes.size();
    return Found::kWhole;
  }

  // hiredis gets all bytes that are there, and then what comes, until it has no half of a reply.
  Result<bool> next_slow(RedisReply& out) {
    if (!reader_) return Status(Code::kInternal, "no memory");
    if (reader_->len - reader_->pos + (end_ - begin_) > kUnreadMax) return too_long();
    if (begin_ != end_ &&
        ::redisReaderFeed(reader_.get(), buffer_.data() + begin_, end_ - begin_) != REDIS_OK) {
      return failed();
    }
    begin_ = end_;
    slow_ = true;
    void* raw = nullptr;
    if (::redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) return failed();
    reply_.reset(static_cast<redisReply*>(raw));
    if (!reply_) return false;
    slow_ = reader_->pos != reader_->len;
    show(*reply_, out);
    return true;
  }

  static void show(const redisReply& reply, RedisReply& out) {
    out.texts.clear();
    out.error = reply.type == REDIS_REPLY_ERROR;
    if (reply.type == REDIS_REPLY_ARRAY) {
      for (std::size_t i = 0; i < reply.elements; ++i) {
        const redisReply* item = reply.element[i];
        const bool text = item->type == REDIS_REPLY_STRING || item->type == REDIS_REPLY_STATUS;
        out.texts.push_back(text ? std::string_view(item->str, item->len) : std::string_view());
      }
    } else if (reply.str != nullptr) {
      out.texts.emplace_back(reply.str, reply.len);
    }
  }

  static Status too_long() { return {Code::kCorrupt, "a message of over 64MiB"}; }
  Status failed() const {
    return {Code::kCorrupt, std::string("not the protocol of Redis: ") + reader_->errstr};
  }

  std::vector<char> buffer_;  // what is not taken yet is in [begin_, end_)
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool slow_ = false;  // hiredis has a part of the next reply
  std::unique_ptr<redisReader, decltype(&::redisReaderFree)> reader_;
  std::unique_ptr<redisReply, Free> reply_;
};

}  // namespace phlower::agent
