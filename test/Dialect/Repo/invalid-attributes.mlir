// RUN: repo-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{expected `dim` to be positive and even, got 7}}
func.func private @rope_dim() attributes {test.rope = #repo.rope<theta = 1.0E+4, dim = 7>}

// -----

// expected-error @+1 {{expected `theta` to be positive, got -2}}
func.func private @rope_theta() attributes {test.rope = #repo.rope<theta = -2.0, dim = 8>}

// -----

// expected-error @+1 {{expected `factor` to be positive, got 0}}
func.func private @linear_factor() attributes {test.rope = #repo.linear<factor = 0.0>}

// -----

// expected-error @+1 {{expected `low` < `high`, got 4 and 1.5}}
func.func private @llama3_low() attributes {test.rope = #repo.llama3<factor = 8.0, low = 4.0, high = 1.5, original = 8192>}

// -----

// expected-error @+1 {{expected `original` to be positive, got 0}}
func.func private @yarn_original() attributes {test.rope = #repo.yarn<factor = 2.0, original = 0>}

// -----

// expected-error @+1 {{expected `attention_factor` not to be negative, got -0.5}}
func.func private @yarn_attention_factor() attributes {test.rope = #repo.yarn<factor = 2.0, original = 64, attention_factor = -0.5>}

// -----

// expected-error @+1 {{unknown attribute `repo.weight`}}
func.func private @operation_attribute() attributes {repo.weight}

// -----

// expected-error @+1 {{unknown argument attribute `repo.weight`}}
func.func private @argument_attribute(tensor<4xf32> {repo.weight})

// -----

// expected-error @+1 {{expected `repo.name` to be a string}}
func.func private @argument_name(tensor<4xf32> {repo.name = 3})

// -----

// expected-error @+1 {{expected `repo.constant` to be a unit attribute}}
func.func private @argument_constant(tensor<4xf32> {repo.constant = true})

// -----

// expected-error @+1 {{expected `repo.inout` to be the number of a result}}
func.func private @argument_inout(tensor<4xf32> {repo.inout = "x"}) -> tensor<4xf32>

// -----

// expected-error @+1 {{unknown result attribute `repo.constant`}}
func.func private @result_attribute() -> (tensor<4xf32> {repo.constant})

// -----

// expected-error @+1 {{expected `key_block` to be positive, got 0}}
func.func private @strategy_key_block() attributes {test.s = #repo.attention_strategy<query_block = 16, key_block = 0, edge_block = 8>}

// -----

// expected-error @+1 {{expected `query_tile` to divide `query_block` 48, got 32}}
func.func private @strategy_query_tile() attributes {test.s = #repo.attention_strategy<query_block = 48, key_block = 64, edge_block = 64, query_tile = 32>}

// -----

// expected-error @+1 {{expected `query_block` of unit amx to be a multiple of 32, got 48}}
func.func private @strategy_amx_queries() attributes {test.s = #repo.attention_strategy<query_block = 48, key_block = 64, edge_block = 64, unit = amx>}

// -----

// expected-error @+1 {{expected `key_block` of unit amx to be 32, 64, 128 or 256, got 96}}
func.func private @strategy_amx_keys() attributes {test.s = #repo.attention_strategy<query_block = 64, key_block = 96, edge_block = 64, unit = amx>}

// -----

// expected-error @+1 {{expected `split_keys` to be a multiple of `key_block`, with unit mma, got 40}}
func.func private @strategy_split() attributes {test.s = #repo.kernel_strategy<unit = mma, query_block = 16, key_block = 16, stages = 2, warps = 4, split_keys = 40>}

// -----

// expected-error @+1 {{expected `token_block` to be a multiple of 64, 16 for each warp, got 48}}
func.func private @position_strategy_tokens() attributes {test.s = #repo.position_strategy<unit = mma, token_block = 48, column_block = 64, stages = 2, warps = 4>}

// -----

// expected-error @+1 {{expected `token_block` to be 128, 16 for each warp, got 256}}
func.func private @position_strategy_warpgroups() attributes {test.s = #repo.position_strategy<unit = wgmma, token_block = 256, column_block = 64, stages = 2, warps = 8>}

// -----

// expected-error @+1 {{expected `column_block` to be a multiple of 64, got 32}}
func.func private @position_strategy_columns() attributes {test.s = #repo.position_strategy<unit = mma, token_block = 64, column_block = 32, stages = 2, warps = 4>}

// -----

// expected-error @+1 {{expected `stages` to be at least 2, got 1}}
func.func private @position_strategy_stages() attributes {test.s = #repo.position_strategy<unit = mma, token_block = 64, column_block = 64, stages = 1, warps = 4>}
