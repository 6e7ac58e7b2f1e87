// A stand-in: just what docs/guides/android.md uses of these classes, for the compiler.
package androidx.compose.ui

interface Modifier {
    companion object : Modifier
}
