// Holds envoy_abi.h against a real abi.h of Envoy: compiles, or says which declaration differs.
// Built as the program abi_check where the option envoy_abi_h names that file; it has no other use.
#define PHLOWER_ENVOY_TYPES_ONLY
#include "envoy_abi.h"

#include PHLOWER_ENVOY_ABI_H

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <type_traits>

namespace {

// Whether a value of type A is passed as one of type B is.
template <typename A, typename B>
constexpr bool passed_alike() {
  if constexpr (std::is_void_v<A> || std::is_void_v<B>) {
    return std::is_void_v<A> && std::is_void_v<B>;
  } else if constexpr (std::is_function_v<std::remove_pointer_t<A>> ||
                       std::is_function_v<std::remove_pointer_t<B>>) {
    return std::is_same_v<A, B>;
  } else if constexpr (std::is_pointer_v<A> && std::is_pointer_v<B>) {
    using To = std::remove_cv_t<std::remove_pointer_t<A>>;
    using From = std::remove_cv_t<std::remove_pointer_t<B>>;
    if constexpr (std::is_void_v<To> || std::is_void_v<From>) {
      return true;  // a handle: either side sees no more than an address
    } else {
      return passed_alike<To, From>();
    }
  } else if constexpr (std::is_class_v<A> && std::is_class_v<B>) {
    return sizeof(A) == sizeof(B) && alignof(A) == alignof(B) && std::is_trivially_copyable_v<A> &&
           std::is_trivially_copyable_v<B>;
  } else if constexpr (std::is_enum_v<A>) {
    return passed_alike<std::underlying_type_t<A>, B>();
  } else {
    return std::is_same_v<A, B>;
  }
}

template <typename Real, typename Ours>
struct Alike : std::false_type {};

template <typename R, typename... P, typename S, typename... Q>
struct Alike<R(P...), S(Q...)> {
  static constexpr bool value = [] {
    if constexpr (sizeof...(P) != sizeof...(Q)) {
      return false;
    } else {
      return passed_alike<R, S>() && (passed_alike<P, Q>() && ...);
    }
  }();
};

#define SAME_HOOK(result, name, parameters)                                                \
  static_assert(Alike<decltype(envoy_dynamic_module_on_##name), result parameters>::value, \
                "hook " #name);
#define SAME_CALLBACK(result, name, parameters)                                                  \
  static_assert(Alike<decltype(envoy_dynamic_module_callback_##name), result parameters>::value, \
                "callback " #name);
PHLOWER_ENVOY_HOOKS(SAME_HOOK)
PHLOWER_ENVOY_CALLBACKS(SAME_CALLBACK)

#define SAME_NUMBER(ours, real) static_assert(int{ours} == int{envoy_dynamic_module_type_##real})
SAME_NUMBER(kEnvoyLogInfo, log_level_Info);
SAME_NUMBER(kEnvoyLogWarn, log_level_Warn);
SAME_NUMBER(kEnvoyLogError, log_level_Error);
SAME_NUMBER(kEnvoyRequestHeader, http_header_type_RequestHeader);
SAME_NUMBER(kEnvoyLogNotSet, access_log_type_NotSet);
SAME_NUMBER(kEnvoyLogTcpConnectionEnd, access_log_type_TcpConnectionEnd);
SAME_NUMBER(kEnvoyLogDownstreamEnd, access_log_type_DownstreamEnd);
SAME_NUMBER(kEnvoyLogUdpSessionEnd, access_log_type_UdpSessionEnd);
SAME_NUMBER(kEnvoyFlagUpstreamRequestTimeout, response_flag_UpstreamRequestTimeout);
SAME_NUMBER(kEnvoyFlagLocalReset, response_flag_LocalReset);
SAME_NUMBER(kEnvoyFlagUpstreamRemoteReset, response_flag_UpstreamRemoteReset);
SAME_NUMBER(kEnvoyFlagUpstreamConnectionFailure, response_flag_UpstreamConnectionFailure);
SAME_NUMBER(kEnvoyFlagUpstreamConnectionTermination, response_flag_UpstreamConnectionTermination);
SAME_NUMBER(kEnvoyFlagDownstreamConnectionTermination,
            response_flag_DownstreamConnectionTermination);
SAME_NUMBER(kEnvoyFlagStreamIdleTimeout, response_flag_StreamIdleTimeout);
SAME_NUMBER(kEnvoyFlagUpstreamProtocolError, response_flag_UpstreamProtocolError);
SAME_NUMBER(kEnvoyFlagDownstreamRemoteReset, response_flag_DownstreamRemoteReset);
SAME_NUMBER(kEnvoyAttributeRequestId, attribute_id_RequestId);
SAME_NUMBER(kEnvoyAttributeResponseCode, attribute_id_ResponseCode);
SAME_NUMBER(kEnvoyAttributeResponseCodeDetails, attribute_id_ResponseCodeDetails);
SAME_NUMBER(kEnvoyAttributeUpstreamAddress, attribute_id_UpstreamAddress);
SAME_NUMBER(kEnvoyAttributeRouteName, attribute_id_XdsRouteName);
SAME_NUMBER(kEnvoyMetricsSuccess, metrics_result_Success);
SAME_NUMBER(kEnvoyFileMovedTo, file_watcher_event_MovedTo);
SAME_NUMBER(kEnvoyFileModified, file_watcher_event_Modified);

#define SAME_PLACE(ours, our_member, real, real_member)                        \
  static_assert(offsetof(ours, our_member) ==                                  \
                    offsetof(envoy_dynamic_module_type_##real, real_member) && \
                sizeof(ours::our_member) == sizeof(envoy_dynamic_module_type_##real::real_member))
using Text = phlower_envoy_text;
using Timing = phlower_envoy_timing;
SAME_PLACE(Text, ptr, envoy_buffer, ptr);
SAME_PLACE(Text, length, envoy_buffer, length);
SAME_PLACE(Text, ptr, module_buffer, ptr);
SAME_PLACE(Text, length, module_buffer, length);
SAME_PLACE(Timing, start_at_ns, timing_info, start_time_unix_ns);
SAME_PLACE(Timing, request_complete_ns, timing_info, request_complete_duration_ns);
SAME_PLACE(Timing, first_upstream_tx_ns, timing_info, first_upstream_tx_byte_sent_ns);
SAME_PLACE(Timing, last_upstream_tx_ns, timing_info, last_upstream_tx_byte_sent_ns);
SAME_PLACE(Timing, first_upstream_rx_ns, timing_info, first_upstream_rx_byte_received_ns);
SAME_PLACE(Timing, last_upstream_rx_ns, timing_info, last_upstream_rx_byte_received_ns);
SAME_PLACE(Timing, first_downstream_tx_ns, timing_info, first_downstream_tx_byte_sent_ns);
SAME_PLACE(Timing, last_downstream_tx_ns, timing_info, last_downstream_tx_byte_sent_ns);
static_assert(sizeof(Timing) == sizeof(envoy_dynamic_module_type_timing_info));

}  // namespace

int main() {
  for (const char* known : {PHLOWER_ENVOY_ABI_V1, PHLOWER_ENVOY_ABI_V2}) {
    if (std::strcmp(known, ENVOY_DYNAMIC_MODULES_ABI_VERSION) == 0) return 0;
  }
  std::printf("Envoy's ABI calls itself %s, which the module does not know: Envoy will warn\n",
              ENVOY_DYNAMIC_MODULES_ABI_VERSION);
  return 1;
}
