# Names of namespace std by the header of theirs that a file includes itself; of names that many headers have, as std::get,
# none. Included by CMakeLists.txt, which precompiles these headers, and by check_headers.cmake.
set(names_of_algorithm min max clamp copy copy_n sort stable_sort fill fill_n transform find find_if max_element
    min_element minmax_element binary_search upper_bound lower_bound equal equal_range nth_element any_of all_of for_each
    unique count count_if reverse partition_point is_sorted adjacent_find stable_partition set_intersection set_difference
    replace_if remove_if partial_sort mismatch next_permutation minmax)
set(names_of_array array)
set(names_of_atomic atomic memory_order_relaxed memory_order_acquire memory_order_acq_rel memory_order_release)
set(names_of_bit bit_cast endian bit_ceil bit_width countr_zero)
set(names_of_cctype isalnum isspace isdigit)
set(names_of_charconv from_chars to_chars chars_format)
set(names_of_chrono chrono)
set(names_of_cmath sqrt abs isnan isfinite pow exp log lround ceil cos tanh round log10 ldexp expm1 nan log1p llround
    lgamma hypot floor erfc asin acos sin erf lrint log2 ilogb frexp copysign nearbyint)
set(names_of_concepts same_as convertible_to move_constructible invocable derived_from integral copy_constructible
    floating_point default_initializable copyable signed_integral constructible_from)
set(names_of_cstddef size_t ptrdiff_t byte nullptr_t to_integer)
set(names_of_cstdint uint64_t uint32_t uint16_t int64_t uint8_t int32_t uintptr_t uintmax_t int8_t int16_t)
set(names_of_cstdio snprintf fclose fwrite rename fopen fflush)
set(names_of_cstdlib getenv atoi)
set(names_of_cstring memcpy strerror memcmp memchr)
set(names_of_deque deque)
set(names_of_exception exception_ptr rethrow_exception current_exception)
set(names_of_filesystem filesystem)
set(names_of_fstream ifstream)
set(names_of_functional function less greater plus not_equal_to hash)
set(names_of_future packaged_task future_status)
set(names_of_initializer_list initializer_list)
set(names_of_ios ios)
set(names_of_iterator back_inserter istreambuf_iterator prev)
set(names_of_limits numeric_limits)
set(names_of_list list)
set(names_of_map map)
set(names_of_memory shared_ptr unique_ptr make_shared make_unique make_unique_for_overwrite)
set(names_of_mutex mutex lock_guard)
set(names_of_new bad_alloc)
set(names_of_numbers numbers)
set(names_of_numeric iota accumulate inner_product partial_sum)
set(names_of_optional optional nullopt)
set(names_of_queue priority_queue)
set(names_of_random mt19937_64)
set(names_of_set set)
set(names_of_span span as_bytes)
set(names_of_sstream ostringstream)
set(names_of_stdexcept logic_error runtime_error)
set(names_of_string string to_string getline stoull)
set(names_of_string_view string_view string_view_literals)
set(names_of_system_error error_code errc)
set(names_of_thread thread this_thread)
set(names_of_tuple tuple tie apply)
set(names_of_type_traits is_same_v integral_constant type_identity_t remove_cvref_t remove_const_t conditional_t
    type_identity is_void_v invoke_result_t is_floating_point_v is_const_v remove_reference_t is_trivially_copyable_v
    is_pointer_v is_enum_v is_arithmetic_v)
set(names_of_unordered_map unordered_map)
set(names_of_utility move swap as_const pair exchange index_sequence make_index_sequence forward declval)
set(names_of_vector vector erase_if)
set(standard_headers algorithm array atomic bit cctype charconv chrono cmath concepts cstddef cstdint cstdio cstdlib
    cstring deque exception filesystem fstream functional future initializer_list ios iterator limits list map memory
    mutex new numbers numeric optional queue random set span sstream stdexcept string string_view system_error thread
    tuple type_traits unordered_map utility vector)
set(names_of_many_headers get begin end size ssize data erase erase_if hash)
