//! Schemas of fields whose rules their types do not tell, as the documents show them. What matches
//! is not refused for its form.

use janua_actors::permissions::CATALOGUE;
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::{Array, ArrayBuilder, Object, ObjectBuilder};

/// `+`, a country code that there is (ITU-T E.164), and 7 to 15 digits in all.
const PHONE_NUMBER: &str = "^\\+((1|7)[0-9]{6,14}|\
    (2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58])[0-9]{5,13}|\
    (21[12368]|22[0-9]|23[0-9]|24[0-9]|25[0-8]|26[0-9]|29[01789]|35[0-9]|37[0-8]|38[0-35-79]|\
    42[013]|50[0-9]|59[0-9]|67[02-9]|68[0-35-9]|69[0-2]|80[08]|85[02356]|87[08]|88[0-368]|\
    96[0-8]|97[0-79]|99[2-68])[0-9]{4,12})$";

const PICTURE: &str = "^https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,4})?\
    (/[A-Za-z0-9/._~%?&=+-]*)?$";

const BINARY: &str = "^([A-Za-z0-9+/_-]{4})*\
    ([A-Za-z0-9+/_-]{4}|[A-Za-z0-9+/_-]{3}=?|[A-Za-z0-9+/_-]{2}(==)?)$";

const RATE: &str = "^(0|[0-9]{1,9}/(s|sec|second|m|min|minute|h|hour|day))$";

/// The id of a tenant, as a pattern.
pub const TENANT_ID: &str = "^[a-z0-9_-]{1,64}$";

/// A phone number.
pub fn phone_number() -> Object {
    text(PHONE_NUMBER).examples(["+14155550123"]).build()
}

/// The address of a picture.
pub fn picture() -> Object {
    text(PICTURE).max_length(Some(2048)).examples(["https://example.com/avatar.jpg"]).build()
}

/// A rate limit.
pub fn rate() -> Object {
    text(RATE).examples(["1000/hour"]).build()
}

/// Permissions of the catalogue, and wildcards over them.
pub fn scopes() -> Array {
    let resources = CATALOGUE.iter().filter_map(|known| known.split_once(':'));
    let mut wildcards: Vec<_> = resources.map(|(name, _)| format!("{name}:*")).collect();
    wildcards.dedup();
    let all = ["*".to_owned()].into_iter().chain(wildcards);
    let all = all.chain(CATALOGUE.iter().map(|known| (*known).to_owned()));
    let scope = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(all));
    ArrayBuilder::new().items(scope).max_items(Some(100)).build()
}

/// What a code's exchange must answer: a SHA-256, base64url (RFC 7636 §4.2).
pub fn challenge() -> Object {
    text("^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")
        .description(Some("What the exchange of the code must answer (RFC 7636)"))
        .examples(["E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"])
        .build()
}

/// How a challenge is made of what answers it.
pub fn challenge_method() -> Object {
    text("^S256$").description(Some("`S256`, with a challenge and not without")).build()
}

/// Bytes as passkeys are written down: base64url, or as people write it.
pub fn binary() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(BINARY))
        .description(Some("base64url"))
        .build()
}

/// How many replicas a shard can have.
pub fn replicas() -> Object {
    let kind: SchemaType = [Type::Integer, Type::Null].into_iter().collect();
    let replicas = ObjectBuilder::new().schema_type(kind).enum_values(Some([1, 3, 5]));
    replicas.description(Some("How many replicas each shard wants")).examples([3]).build()
}

/// The same, or `null`.
pub fn scopes_or_null() -> Array {
    let kind: SchemaType = [Type::Array, Type::Null].into_iter().collect();
    ArrayBuilder::from(scopes()).schema_type(kind).build()
}

fn text(pattern: &str) -> ObjectBuilder {
    let kind: SchemaType = [Type::String, Type::Null].into_iter().collect();
    ObjectBuilder::new().schema_type(kind).pattern(Some(pattern))
}
