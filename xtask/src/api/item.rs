//! Items, and what of them is the interface.

use syn::{Attribute, Fields, ImplItem, Item, Meta, Signature, TraitItem, Type, Visibility};

/// What an item is called.
pub(super) fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

pub(super) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether other crates see an item where it stands. Macros are seen where they are exported, at the root.
pub(super) fn is_public(item: &Item) -> bool {
    let visibility = match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Mod(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::TraitAlias(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Union(item) => &item.vis,
        Item::Use(item) => &item.vis,
        _ => return false,
    };
    is_open(visibility) && !is_hidden(attributes(item))
}

fn is_open(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Whether documentation does not show it: nothing that users are promised.
pub(super) fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("doc") && list.tokens.to_string() == "hidden",
        Meta::Path(_) | Meta::NameValue(_) => false,
    })
}

/// Whether a macro is seen at the root of the crate.
pub(super) fn is_exported(attributes: &[Attribute]) -> bool {
    let exports = |attribute: &Attribute| attribute.path().is_ident("macro_export");
    attributes.iter().any(exports) && !is_hidden(attributes)
}

/// The lines of an item that is seen as `path`.
pub(super) fn lines(item: &Item, path: &str) -> Vec<String> {
    let head = |text: String| format!("{path}: {}{text}", promises(attributes(item)));
    match item {
        Item::Fn(item) => vec![head(function(&item.vis, &item.sig))],
        Item::Struct(item) => {
            let (vis, ident, generics) = (&item.vis, &item.ident, &item.generics);
            let mut lines = vec![head(text(quote::quote!(#vis struct #ident #generics)))];
            lines.extend(fields(&item.fields, path));
            lines
        }
        Item::Enum(item) => {
            let (vis, ident, generics) = (&item.vis, &item.ident, &item.generics);
            let mut lines = vec![head(text(quote::quote!(#vis enum #ident #generics)))];
            let variants = item.variants.iter().filter(|it| !is_hidden(&it.attrs));
            lines.extend(variants.map(|variant| {
                let (name, promises) = (&variant.ident, promises(&variant.attrs));
                format!("{path}::{name}: {promises}{name}{}", shape(&variant.fields))
            }));
            lines
        }
        Item::Trait(item) => {
            let (vis, ident, generics) = (&item.vis, &item.ident, &item.generics);
            let bounds = &item.supertraits;
            let colon = (!bounds.is_empty()).then_some(&item.colon_token);
            let mut lines = vec![head(text(
                quote::quote!(#vis trait #ident #generics #colon #bounds),
            ))];
            lines.extend(item.items.iter().filter_map(|item| of_trait(item, path)));
            lines
        }
        Item::Const(item) => {
            let (vis, ident, ty) = (&item.vis, &item.ident, &item.ty);
            vec![head(text(quote::quote!(#vis const #ident: #ty)))]
        }
        Item::Static(item) => {
            let (vis, ident, ty) = (&item.vis, &item.ident, &item.ty);
            vec![head(text(quote::quote!(#vis static #ident: #ty)))]
        }
        Item::Type(item) => {
            let (vis, ident, generics, ty) = (&item.vis, &item.ident, &item.generics, &item.ty);
            vec![head(text(quote::quote!(#vis type #ident #generics = #ty)))]
        }
        Item::Macro(item) => {
            let name = item.ident.as_ref().map(ToString::to_string);
            vec![head(format!("macro {}!", name.unwrap_or_default()))]
        }
        // What a library here does not have.
        _ => vec![head("?".to_owned())],
    }
}

/// The lines of what is implemented for a type that is seen as `path`.
pub(super) fn implemented(item: &syn::ItemImpl, path: &str) -> Vec<String> {
    if is_hidden(&item.attrs) {
        return Vec::new();
    }
    if let Some((of, _)) = &item.trait_ {
        let of = text(of);
        return vec![format!("{path}: {}impl {of}", promises(&item.attrs))];
    }
    let items = item.items.iter();
    items
        .filter_map(|item| match item {
            ImplItem::Fn(item) if is_open(&item.vis) && !is_hidden(&item.attrs) => {
                let (name, promises) = (&item.sig.ident, promises(&item.attrs));
                let function = function(&item.vis, &item.sig);
                Some(format!("{path}::{name}: {promises}{function}"))
            }
            ImplItem::Const(item) if is_open(&item.vis) && !is_hidden(&item.attrs) => {
                let (vis, ident, ty) = (&item.vis, &item.ident, &item.ty);
                let shown = text(quote::quote!(#vis const #ident: #ty));
                Some(format!("{path}::{ident}: {shown}"))
            }
            _ => None,
        })
        .collect()
}

/// The name of the type that something is implemented for.
pub(super) fn implementor(ty: &Type) -> Option<Vec<String>> {
    match ty {
        Type::Path(ty) => {
            let segments = ty.path.segments.iter();
            Some(segments.map(|it| it.ident.to_string()).collect())
        }
        _ => None,
    }
}

fn of_trait(item: &TraitItem, path: &str) -> Option<String> {
    let (name, attributes, shown) = match item {
        TraitItem::Fn(item) => {
            let signature = &item.sig;
            let default = if item.default.is_some() {
                " { .. }"
            } else {
                ""
            };
            let shown = format!("{}{default}", text(signature));
            (signature.ident.to_string(), &item.attrs, shown)
        }
        TraitItem::Const(item) => {
            let (ident, ty) = (&item.ident, &item.ty);
            let shown = text(quote::quote!(const #ident: #ty));
            (ident.to_string(), &item.attrs, shown)
        }
        TraitItem::Type(item) => {
            let (ident, generics, bounds) = (&item.ident, &item.generics, &item.bounds);
            let shown = text(quote::quote!(type #ident #generics: #bounds));
            (ident.to_string(), &item.attrs, shown)
        }
        _ => return None,
    };
    let shown = format!("{path}::{name}: {}{shown}", promises(attributes));
    (!is_hidden(attributes)).then_some(shown)
}

fn fields(fields: &Fields, path: &str) -> Vec<String> {
    let open = fields.iter().enumerate().filter(|(_, it)| is_open(&it.vis));
    open.map(|(index, field)| {
        let name = field.ident.as_ref().map(ToString::to_string);
        let name = name.unwrap_or_else(|| index.to_string());
        format!("{path}::{name}: {}", text(&field.ty))
    })
    .collect()
}

/// What stands after the name of a variant.
fn shape(fields: &Fields) -> String {
    let shown = fields.iter().map(|field| match &field.ident {
        Some(name) => format!("{name}: {}", text(&field.ty)),
        None => text(&field.ty),
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    match fields {
        Fields::Named(_) => format!(" {{ {shown} }}"),
        Fields::Unnamed(_) => format!("({shown})"),
        Fields::Unit => String::new(),
    }
}

fn function(visibility: &Visibility, signature: &Signature) -> String {
    text(quote::quote!(#visibility #signature))
}

/// The attributes that users can tell.
fn promises(attributes: &[Attribute]) -> String {
    let told = attributes.iter().filter(|attribute| {
        ["cfg", "derive", "must_use", "non_exhaustive", "deprecated"]
            .iter()
            .any(|name| attribute.path().is_ident(name))
    });
    told.map(|attribute| match &attribute.meta {
        // Why a result must be used is documentation.
        Meta::NameValue(pair) => format!("#[{}] ", text(&pair.path)),
        Meta::Path(_) | Meta::List(_) => format!("{} ", text(attribute)),
    })
    .collect()
}

/// Tokens as one would write them on one line.
fn text(tokens: impl quote::ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (from, to) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" ::", "::"),
        (" , ", ", "),
        (" ,", ","),
        (" ;", ";"),
        (" : ", ": "),
        (" < ", "<"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        ("& ", "&"),
        ("( ", "("),
        (" )", ")"),
        (" (", "("),
        ("[ ", "["),
        (" ]", "]"),
        ("# [", "#["),
        ("! ", "!"),
        (",)", ")"),
        (",>", ">"),
    ] {
        text = text.replace(from, to);
    }
    // What the replacements above took away too much of.
    for (from, to) in [
        ("->(", "-> ("),
        (",(", ", ("),
        ("=(", "= ("),
        ("dyn(", "dyn ("),
    ] {
        text = text.replace(from, to);
    }
    text
}
