// RUN: repo-opt %s --repo-materialize-destinations --split-input-file --verify-diagnostics

// expected-error @below {{expected `repo.inout` of argument 0 to name one of 1 results, got 3}}
func.func @no_such_result(%x: tensor<4xf32> {repo.inout = 3 : index}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// expected-error @below {{result 0 is held by arguments 0 and 1}}
func.func @twice(%x: tensor<4xf32> {repo.inout = 0 : index}, %y: tensor<4xf32> {repo.inout = 0 : index}) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

// expected-error @below {{expected argument 0 to have the type of result 0, 'tensor<4xf32>', got 'tensor<5xf32>'}}
func.func @type(%x: tensor<5xf32> {repo.inout = 0 : index}, %y: tensor<4xf32>) -> tensor<4xf32> {
  return %y : tensor<4xf32>
}

// -----

// expected-error @below {{expected argument 0 to be a ranked tensor or a scalar, got 'tensor<*xf32>'}}
func.func @unranked(%x: tensor<*xf32>) {
  return
}

// -----

// expected-error @below {{expected argument 0 to have elements of type f16, bf16, f32, f64, i1, i8, i16, i32 or i64, got 'index'}}
func.func @indices(%x: tensor<4xindex>) {
  return
}

// -----

// expected-error @below {{expected argument 1 to have elements of type f16, bf16, f32, f64, i1, i8, i16, i32 or i64, got 'i4'}}
func.func @nibbles(%x: tensor<4xf32>, %y: i4) {
  return
}

// -----

// expected-error @below {{expected result 0 to have elements of type f16, bf16, f32, f64, i1, i8, i16, i32 or i64, got 'complex<f32>'}}
func.func @complex() -> tensor<4xcomplex<f32>> {
  %0 = tensor.empty() : tensor<4xcomplex<f32>>
  return %0 : tensor<4xcomplex<f32>>
}

// -----

// expected-error @below {{expected a body of `elsewhere`, which is called}}
func.func private @elsewhere(tensor<4xf32>) -> tensor<4xf32>
func.func @calls(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = call @elsewhere(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
