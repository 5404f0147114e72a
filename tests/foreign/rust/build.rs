// build.rs - makes the stubs of the .proto files below PROTOS.
fn main() -> std::io::Result<()> {
    let root = std::env::var("PROTOS").expect("PROTOS names the folder of the .proto files");
    let files = ["publisher", "subscriber"].map(|name| format!("{root}/tributary/v1/{name}.proto"));
    tonic_prost_build::configure().build_server(false).compile_protos(&files, &[root])
}
