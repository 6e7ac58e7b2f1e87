// A stand-in: just what docs/guides/android.md uses of these classes, for the compiler.
package androidx.compose.material3

import androidx.compose.foundation.text.KeyboardOptions
import androidx.compose.runtime.Composable
import androidx.compose.ui.Modifier

interface RowScope

@Composable
fun Text(text: String): Unit = TODO()

@Composable
fun Button(
    onClick: () -> Unit, modifier: Modifier = Modifier, enabled: Boolean = true, content: @Composable RowScope.() -> Unit,
): Unit = TODO()

@Composable
fun TextField(
    value: String,
    onValueChange: (String) -> Unit,
    modifier: Modifier = Modifier,
    label: @Composable (() -> Unit)? = null,
    keyboardOptions: KeyboardOptions? = null,
): Unit = TODO()
