# optscope::compiled: every .ipp compiled once, one source file for each folder, into liboptscope.a.
add_library(optscope_compiled STATIC)
add_library(optscope::compiled ALIAS optscope_compiled)
set_target_properties(optscope_compiled PROPERTIES OUTPUT_NAME optscope EXPORT_NAME compiled UNITY_BUILD OFF)
target_link_libraries(optscope_compiled PUBLIC optscope)
target_compile_definitions(optscope_compiled PUBLIC OPTSCOPE_COMPILED)
# A program takes the functions that it uses, not whole folders.
target_compile_options(optscope_compiled PRIVATE -ffunction-sections -fdata-sections)
target_link_options(optscope_compiled INTERFACE LINKER:--gc-sections)

# The symbols by which core/compiled.hpp knows this library and its version.
string(REPLACE "." "_" version ${PROJECT_VERSION})
set(contents_of_core "#include <optscope/core/compiled.hpp>
extern \"C\" {
const char optscope_compiled_library_${version} = 1;
const char optscope_is_header_only_in_one_file_and_compiled_in_another = 1;
}
")
foreach(body IN LISTS optscope_bodies)
  file(RELATIVE_PATH name ${CMAKE_CURRENT_SOURCE_DIR}/include ${body})
  get_filename_component(folder ${name} DIRECTORY)
  get_filename_component(folder ${folder} NAME)
  string(APPEND contents_of_${folder} "#include <${name}>\n")
  list(APPEND compiled_folders ${folder})
endforeach()
list(REMOVE_DUPLICATES compiled_folders)
foreach(folder IN LISTS compiled_folders)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/compiled/${folder}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "${contents_of_${folder}}" @ONLY)
  target_sources(optscope_compiled PRIVATE ${source})
endforeach()
# UndefinedBehaviorSanitizer takes clang 14 many minutes for the kernels; tests/backend/test_cpu.cpp has them with it.
set_source_files_properties(${CMAKE_CURRENT_BINARY_DIR}/compiled/backend.cpp PROPERTIES
                            COMPILE_OPTIONS "$<IF:$<CONFIG:Debug>,-fno-sanitize=undefined,-O3>")
# Tests with sanitizers compile fast, at -O0, and call a library that is not slow where there is much to compute.
foreach(folder backend core checkpoint isolation opt probe spectrum tokenizer)
  set_property(SOURCE ${CMAKE_CURRENT_BINARY_DIR}/compiled/${folder}.cpp APPEND PROPERTY
               COMPILE_OPTIONS $<$<CONFIG:Debug>:-O1>)
endforeach()
# What reads files and draws is small rather than fast.
foreach(folder checkpoint corpus plot)
  set_property(SOURCE ${CMAKE_CURRENT_BINARY_DIR}/compiled/${folder}.cpp APPEND PROPERTY
               COMPILE_OPTIONS $<$<CONFIG:Release>:-Os>)
endforeach()
